"""How far is a result from the exact answer, is that allowed, and if not, why?

`budget` derives how far a well-made implementation may be from each exact value, `comparison` decides whether a result
is within its budget, `assessment` applies both to whole results, and `batching` to many problems at once. `judge`
turns a result into a judgement with findings: an ordered list of rules, each in the module of its subject (`contract`,
`unanswered`, `precision`, `diagnosis`, `second_order`, `portability`, `consistency`). `diagnosis` names causes, with
`gradient_faults`, `neighbours` (conventions that change a single field) and `mechanisms`. A judgement follows from the
recorded bits and the declared convention alone: there is no tolerance to configure and no table of expected failures.
"""
