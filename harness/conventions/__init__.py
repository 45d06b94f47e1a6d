"""Which convention does a function follow?

Three ways to find out. `identify` measures it: every result rules out the conventions that do not predict it, and what
remains is the function's card. `explain` starts from numbers alone: it lists the conventions whose exact answer agrees
with an observed value. `claims` compares what every function of a run declares with what was measured. The conventions
themselves are defined in `logitmus.core.convention` and described in docs/conventions.md.
"""
