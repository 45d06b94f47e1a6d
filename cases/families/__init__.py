"""Which inputs are known to go wrong? One module per adversarial idea, each of which exports `FAMILY`.

A family states the idea, why it is hard, and the real incidents behind it, and makes its problems on the canonical
shapes of a profile. `logitmus.cases.suite` lists the families in order.
"""
