#!/usr/bin/env python3
"""The smallest complete worker: the textbook cross-entropy, with nothing but the standard library.

`logitmus run --backend 'cmd:python3 tests/support/workers/minimal.py'`. docs/protocol.md explains it line by line.
"""

import base64
import json
import math
import struct
import sys

FORMATS = {"float64": "d", "float32": "f", "int64": "q"}
SUBJECT = {
    "id": "minimal:cross_entropy@cpu",
    "backend": "minimal",
    "function": "cross_entropy",
    "mode": "",
    "variant": "",
    "device": "cpu",
    "offer": {
        "targets": "labels",
        "reductions": ["none", "sum", "mean"],
        "dtypes": ["float64", "float32"],
        "label_dtypes": ["int64"],
        "gradients": ["logits"],
    },
    "convention": {"mean_denominator": "rows"},
    "precision": {
        "float64": {"result": "float64", "storage": "float64", "arithmetic": "float64"},
        "float32": {"result": "float32", "storage": "float64", "arithmetic": "float64"},
    },
}


def decode(array):
    data = base64.b64decode(array["data"])
    return list(struct.unpack(f"<{math.prod(array['shape'])}{FORMATS[array['dtype']]}", data))


def encode(values, dtype, shape):
    data = struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)
    return {"dtype": dtype, "shape": shape, "data": base64.b64encode(data).decode()}


def evaluate(problem):
    """The outcome of one problem: the loss, and its gradient by the logits."""
    logits, dtype, shape = decode(problem["logits"]), problem["logits"]["dtype"], problem["logits"]["shape"]
    labels, classes = decode(problem["targets"]), shape[-1]
    denominator = len(labels) if problem["reduction"] == "mean" else 1
    upstream = decode(problem["cotangent"]) if problem["cotangent"] else [1.0]
    if len(upstream) != len(labels):
        upstream = [upstream[0]] * len(labels)
    losses, gradient = [], []
    for row, (label, c) in enumerate(zip(labels, upstream, strict=True)):
        x = logits[row * classes : (row + 1) * classes]
        if not 0 <= label < classes:
            return {"kind": "raised", "type": "IndexError", "message": f"label {label} of {classes} classes"}
        largest = max(x)
        total = sum(math.exp(value - largest) for value in x)
        losses.append(math.log(total) + largest - x[label])
        for k, value in enumerate(x):
            gradient.append(c / denominator * (math.exp(value - largest) / total - (k == label)))
    reduced = problem["reduction"] in ("sum", "mean")  # by default it reduces nothing
    loss = [sum(losses) / denominator] if reduced else losses
    return {
        "kind": "answered",
        "loss": encode(loss, dtype, [] if reduced else shape[:-1]),
        "grad_logits": encode(gradient, dtype, shape),
    }


def send(message):
    print(json.dumps(message), flush=True)


def hello():
    send({"type": "hello", "protocol": 1, "subjects": [SUBJECT], "environment": {"packages": {"minimal": "1.0"}}})


def main():
    hello()
    for line in sys.stdin:
        batch = json.loads(line)
        for item in batch["items"]:
            for subject in item["subjects"]:
                outcome = evaluate(item["problem"])
                send({"type": "answer", "problem": item["problem"]["id"], "subject": subject, "outcome": outcome})
        send({"type": "done", "batch": batch["batch"]})


if __name__ == "__main__":
    main()
