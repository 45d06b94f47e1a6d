"""How far is a result from the exact answer, is that allowed, and if not, why?

`budget` derives how far a well-made implementation may be from each exact value, `comparison` decides whether a result
is within its budget, `assessment` applies both to whole results, and `batching` to many problems at once. `judge`
turns an observation into a judgement with findings; `diagnosis`, `mechanisms`, `gradient_faults`, `consistency` and
`second_order` look for the cause of a deviation. A judgement follows from the recorded bits and the declared
convention alone: there is no tolerance to configure and no table of expected failures.
"""
