"""How is a result shown?

One package or module for each kind of output: `terminal`, `html`, `script` (a reproduction that needs no Logitmus),
`markdown`, `junit`, `json_report` (`schema` describes it), `sarif`, `github`, `gitlab` and `badge`. A report formats
what `logitmus.results` concluded and decides nothing itself, so all of them show the same findings under the same ids.
"""
