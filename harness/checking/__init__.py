"""Is this function as good as the one that it is meant to replace, and would the harness notice if it were not?

`check` runs the suite on a user's own function, which is judged by the convention, documentation and precision of a
well-known function, its reference; the reference gets the same problems, so that its weaknesses are not counted
against the user's function. `selftest` does the same with functions whose faults are known (`logitmus.cases.planted`)
and measures how many of them are found and rightly explained.
"""
