"""What Logitmus costs, as ratios in one run: `make bench`; with --full the default profile over all frameworks, too.

Nothing here is asserted: machines differ, and a ratio that worsens is for a person to look at.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# The same calls as the harness makes, in each problem's manner, with nothing around them.
BARE = """
from logitmus.backends.{name}_backend import BACKEND
from logitmus.cases.suite import suite
from logitmus.worker.call_modes import Called, perform
from logitmus.core.observation import Answered, Raised
from logitmus.worker.layout import present
from logitmus.core.problem import ONCE
from logitmus.engine.planning import Selection
BACKEND.start("")
subjects = [subject for subject in BACKEND.subjects(["cpu"]) if not subject.variant]
subjects = [subject for subject in subjects if Selection(profile="{profile}").includes(subject)]
functions = {{function.name: function for function in BACKEND.functions}}

def bare(problem, subject):
    def call(asked, manner):
        given = functions[subject.function], subject.mode, "cpu", present(asked, subject)
        try:
            outputs = BACKEND.evaluate(*given) if manner == ONCE else BACKEND.differentiate(*given, manner)
        except Exception as error:
            return Called(Raised(type(error).__name__, str(error)), 0.0)
        return Called(Answered(loss=outputs.loss, grad_logits=outputs.grad_logits), 0.0)
    perform(problem, subject.convention.inputs, call)

for problem in suite("{profile}"):
    for subject in subjects:
        if subject.why_not(problem) is None:
            bare(problem, subject)
"""
MEMORY = """
import itertools, resource, sys, tempfile
from pathlib import Path
from logitmus.execution import registry
from logitmus.cases.suite import suite
from logitmus.engine.run import run
from logitmus.storage.store import Store
with tempfile.TemporaryDirectory() as folder:
    store = Store.create(Path(folder) / "m.logitmus")
    asked = itertools.islice(suite("default", dtypes=["float32"]), 0, None, int(sys.argv[1]))
    for _ in run(asked, [registry.parse("numpy")], store):
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def wall(command: list[str], *, runs: int = 1) -> float:
    """The median wall time of a command in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def best(call: Callable[[], object], *, seconds: float = 0.5) -> float:
    """The least time of one call, in seconds, over about `seconds`."""
    least, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
    return least


def row(what: str, value: str, aim: str = "") -> None:
    print(f"{what:<66} {value:>12}  {aim}", flush=True)


def start_up() -> None:
    help_seconds = wall([sys.executable, "-m", "logitmus", "--help"], runs=5)
    bare = wall([sys.executable, "-c", "pass"], runs=5)
    row("logitmus --help", f"{help_seconds:.2f} s", "aim: under 0.3 s")
    row(
        "import logitmus, beyond the bare interpreter",
        f"{wall([sys.executable, '-c', 'import logitmus'], runs=5) - bare:.3f} s",
    )


def oracle() -> None:
    import mpmath
    import numpy as np

    from logitmus.core.convention import PORTABLE
    from logitmus.core.problem import Problem
    from logitmus.oracle.answer import answer
    from logitmus.oracle.resolve import resolve

    rng = np.random.default_rng(0)
    rows, classes = 32, 1000
    x = (rng.integers(-2048, 2048, (rows, classes)) / 256).astype(np.float32)
    labels = rng.integers(0, classes, rows)
    problem = Problem(logits=x, targets=labels)
    wide = x.astype(np.float64)

    def plain() -> object:
        m = wide.max(axis=1)
        return m + np.log(np.exp(wide - m[:, None]).sum(axis=1))

    def exact() -> object:
        return answer(resolve(problem, PORTABLE)).loss

    def slowly() -> object:
        with mpmath.workprec(128):
            values = [mpmath.mpf(v) for v in wide[0].tolist()]
            return mpmath.log(mpmath.fsum(mpmath.exp(v) for v in values)) - values[int(labels[0])]

    ours, numpy_seconds, mpmath_seconds = best(exact) / rows, best(plain) / rows, best(slowly)
    row(
        "oracle beside mpmath at 128 bits (K = 1000, float32, a row)",
        f"{mpmath_seconds / ours:.0f}x faster",
        "aim: 200x",
    )
    row("oracle over a plain numpy float64 logsumexp", f"{ours / numpy_seconds:.1f}x", "aim: at most 8x")


def harness_over_bare(name: str, profile: str, pairs: int) -> None:
    """The two by turns: the processors of a shared machine run at half speed from one minute to the next."""
    from importlib import import_module

    from logitmus.engine.planning import Selection

    one_thread = ["env", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"]
    known = import_module(f"logitmus.backends.{name}_backend").BACKEND.subjects(["cpu"])
    called = [s for s in known if not s.variant and Selection(profile=profile).includes(s)]
    same = [part for subject in called for part in ("--subject", subject.id)]  # as the bare calls: without switches
    times = []
    for _ in range(pairs):
        bare = wall([*one_thread, sys.executable, "-c", BARE.format(name=name, profile=profile)])
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "bench.logitmus"
            run = [sys.executable, "-m", "logitmus", "run", "--backend", name, "--profile", profile, *same]
            times.append((wall([*run, "--fail-on", "never", "--out", str(out)]), bare))
    ratios = sorted(ours / bare for ours, bare in times)
    ours, bare = (statistics.median(one) for one in zip(*times, strict=True))
    row(
        f"{name}, {profile} suite: harness {ours:.1f} s over the bare calls {bare:.1f} s",
        f"{statistics.median(ratios):.2f}x",
        f"aim: 1.5x for torch; {pairs} pairs, from {ratios[0]:.2f}x to {ratios[-1]:.2f}x",
    )


def quick_over_import(pairs: int) -> None:
    """A quick run of torch, from the start of the process to its end, over `import torch` alone."""
    times = []
    for _ in range(pairs + 1):
        with tempfile.TemporaryDirectory() as folder:
            run = [
                "run",
                "--backend",
                "torch",
                "--profile",
                "quick",
                "--fail-on",
                "never",
                "--out",
                f"{folder}/b.logitmus",
            ]
            ours = wall([sys.executable, "-m", "logitmus", *run])
        times.append((ours, wall([sys.executable, "-c", "import torch"])))
    ratios = sorted(ours / bare for ours, bare in times[1:])  # the first pair warms the file cache
    row(
        "torch, quick suite over import torch",
        f"{statistics.median(ratios):.2f}x",
        f"aim: 1.5x; {pairs} pairs, from {ratios[0]:.2f}x to {ratios[-1]:.2f}x",
    )


def shares(profile: str, backends: list[str]) -> None:
    from logitmus.storage.store import Store

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "bench.logitmus"
        run = [sys.executable, "-m", "logitmus", "run", "--profile", profile, "--fail-on", "never", "--out", str(out)]
        seconds = wall([*run, *(word for name in backends for word in ("--backend", name))])
        aim = "aim: under 300 s" if profile == "default" else "aim: under 75 s"
        row(f"{profile} profile over {', '.join(backends)}, cold caches", f"{seconds:.0f} s", aim)
        spent: dict[str, list[float]] = {}
        with Store.open(out) as store:
            for subject, (first, later) in store.call_seconds().items():
                total = spent.setdefault(subject.split(":", 1)[0], [0.0, 0.0])
                total[0] += first
                total[1] += later
        for name, (first, later) in sorted(spent.items()):
            row(f"  {name}: first calls of a signature (compilation)", f"{first:.1f} s")
            row(f"  {name}: later calls", f"{later:.1f} s")
        seconds_of_diagnosis = diagnosing(out)
        row(
            "  diagnosis (conventions, mechanisms, precisions) over the rest of the run",
            f"{seconds_of_diagnosis / (seconds - seconds_of_diagnosis):.0%}",
            "aim: at most 25 %",
        )
        inside = sum(map(sum, spent.values()))
        row(
            "  all calls as a share of wall time times 2 workers",
            f"{inside / (2 * seconds):.0%}",
            "the rest: starts, judging, waiting",
        )


def diagnosing(out: Path) -> float:
    """The seconds that the judge spends on why a result of a run is not what it should be."""
    from logitmus.engine.run import judge_run
    from logitmus.judging import judge
    from logitmus.storage.store import Store

    spent = 0.0

    def timed(function: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object) -> object:
            nonlocal spent
            start = time.perf_counter()
            try:
                return function(*given)
            finally:
                spent += time.perf_counter() - start

        return call

    for name in ("_apply", "_judge_exception"):
        setattr(judge, name, timed(getattr(judge, name)))
    with Store.open(out) as store:
        for _ in judge_run(store):
            pass
    return spent


def memory() -> None:
    peaks = [
        float(subprocess.run([sys.executable, "-c", MEMORY, str(n)], check=True, capture_output=True, text=True).stdout)
        for n in (100, 400)
    ]
    row(
        "peak memory of the harness process: 100 problems, 400 problems",
        f"{peaks[0]:.0f}, {peaks[1]:.0f} MiB",
        "aim: flat",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the default profile over all frameworks, too")
    parser.add_argument("--only", choices=("start", "oracle", "import", "bare", "shares", "memory"))
    parser.add_argument("--pairs", type=int, default=3, metavar="N", help="runs of harness and bare calls, by turns")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # where it is set, every process compiles every module anew
    frameworks = ["torch", "tensorflow", "jax"]
    print(f"{platform.processor() or platform.machine()}, {platform.platform()}, Python {platform.python_version()}\n")
    parts: dict[str, Callable[[], None]] = {
        "start": start_up,
        "oracle": oracle,
        "import": lambda: quick_over_import(3 * options.pairs),
        "bare": lambda: harness_over_bare("torch", "default", options.pairs),
        "memory": memory,
        "shares": lambda: (
            [shares(p, frameworks) for p in (("quick", "default") if options.full else ("quick",))] and None
        ),
    }
    for name, part in parts.items():
        if options.only in (None, name):
            part()


if __name__ == "__main__":
    main()
