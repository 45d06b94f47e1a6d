"""Hypotheses: what a cross-entropy may have computed instead, each as a named change of the plain definition.

A number that somebody observed is explained by trying changes of the definition: a temperature, a label smoothing that
nobody mentioned, softmax applied twice, another reduction, float32 with a separate logsumexp. A change belongs to a
stage, and two changes are combined only where their stages differ:

    problem (labels) -> convention -> question (logits, targets) -> loss of a row -> reduction -> scale -> arithmetic

Every change is a clause in the past tense, so that it completes both "2.1752 is right if ..." and "0 would be right if
...", and carries the line of code that mends it. Values are plain floating point: they are compared with the few digits
that somebody printed. The oracle's proofs are not needed for that; the choices of `Convention`, which the oracle does
answer, are evaluated here, too, so that they combine with the others.
"""
