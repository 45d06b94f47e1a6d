"""Which functions have a known truth? Planted faults and correct implementations, written as people write them.

Each function is declared once (`zoo`), with the causes that explain its fault rightly and with the convention card that
is right for it (`cards`): `logitmus selftest` scores checks by the causes, the tests score `identify` by the cards.
`numpy` and `torch` have the functions, `dying_faults` those that take their process with them, and `catalogue` lists
all; `mutants` makes faults by rule. No framework is imported before a function is called.
"""
