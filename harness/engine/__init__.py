"""In which order is a run carried out, and which problems follow from its results?

`run` sends problems to workers, keeps the results in the file and has them judged, and yields what happens as typed
events (`logitmus.core.events`); it knows none of the readers. `judge_batches` and `judge_pool` judge from the file, in
processes of their own. Some results raise further questions, which are answered while the workers are alive:
`disambiguation` separates conventions that explain a finding equally well, `reduction` and `shrink` reduce a finding to
its simplest problem, `exploration` breeds problems beyond the suite, and `metamorphic` compares results that must be
equal. All of them read the file, so that `logitmus judge` reproduces the same events later without any framework.
"""
