"""Which problems does the harness set? Families of adversarial problems, the suite made of them, and ways to make more.

`suite` is the fixed suite: deterministic, the same bits on every machine. `families` has a module per adversarial
idea, `generation` draws further problems, `metamorphic` changes problems without changing their answer, `planted` holds
functions with known faults, and `port_examples` holds problems small enough to follow by hand. This package imports
nothing but `logitmus.core`, and importing it loads none of its modules.
"""
