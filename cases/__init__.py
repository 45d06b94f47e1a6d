"""The questions: families of adversarial problems, the suite made of them, and Hypothesis strategies.

Light: importing this package imports nothing else. `logitmus.cases.suite` has the fixed suite,
`logitmus.cases.generation.strategies` draws problems beyond it.
"""
