"""What is the exact answer?

`resolve` turns a problem under a convention into a `question`, which is made of numbers only; `answer` encloses the
exact loss and its gradients in intervals that are proven to contain them. Two tiers do the work: vectorised arithmetic
in float64 or extended precision with a proven bound (`softmax`), and Arb ball arithmetic at any precision (`arb`).
No framework and no observed result is involved. The derivations are in docs/accuracy.md, section 1.
"""
