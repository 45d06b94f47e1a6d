"""How are workers started, fed and replaced?

A framework is foreign code: it can crash, hang, leak memory or print at any time. Each therefore runs in worker
processes, and this package is the only part of the harness that knows about them. `registry` resolves what a user
calls a backend, `launch` and `worker_process` start and drive a process, `session` sends it batches of problems and
survives its death, `supervisor` keeps track of all processes, and `pool` hides all of this behind a small interface.
`in_process` offers the same interface for callables that no worker can import.
"""
