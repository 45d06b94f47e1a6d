"""What does an upgrade change?

Two or more runs with the same problems are compared call by call. What differs is sorted into transitions, each of one
kind (newly wrong, fixed, convention changed, bits changed, ...), and grouped by cause. `columns` makes the runs of an
audit, one for each environment; `bisect` looks for the release that brought a transition.
"""
