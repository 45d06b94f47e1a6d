"""Repetition: are the results those of the function, or of the moment?

A result that differs when its call is repeated is no basis for an expectation, and a golden value taken from it breaks
one day. Bits may depend on what a worker did before (caches, allocations, warm-up), on the process (hash seeds,
autotuned kernels) or on chance (atomic additions, races). So each repetition makes every call of the suite twice more,
in orders of its own: in the workers that made the first calls, and in new ones.

The file keeps what was observed, and the comparison is made from the file.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from logitmus.core.events import BackendFailed, Event, Progressed, Repeated
from logitmus.core.subject import SubjectId
from logitmus.engine.added_problems import without_follow_ups
from logitmus.engine.planning import Work
from logitmus.engine.recording import record
from logitmus.execution.pool import AbstractPool, Observed
from logitmus.judging.outcome_difference import difference
from logitmus.storage.repeats import Repetition
from logitmus.storage.store import Store

_Call = tuple[str, str]  # the ids of a problem and of a subject


def repeat_calls(
    store: Store, workers: AbstractPool, new_workers: Callable[[], AbstractPool], backends: Mapping[str, str]
) -> Iterator[Event]:
    """Repeat all calls as often as the settings of the run say, except for the repeated calls in the file.

    Args:
        workers: those that made the first calls. new_workers: makes others.
        backends: the label of the backend of each subject to call, by the subject's id.
    """
    done: Counter[str] = Counter()
    for number in range(1, store.settings.repeat + 1):
        yield from _repeat(store, workers, Repetition(number, new_process=False), backends, done)
        with new_workers() as others:
            yield from _repeat(store, others, Repetition(number, new_process=True), backends, done)


def _repeat(
    store: Store, workers: AbstractPool, repetition: Repetition, backends: Mapping[str, str], done: Counter[str]
) -> Iterator[Event]:
    work = Work(backends)
    identities = without_follow_ups(store)
    random.Random(f"{repetition}").shuffle(identities)  # noqa: S311  (an order, no secret)
    first_calls: Counter[str] = Counter()
    known = {call for call, made in store.repeats.already(repetition).items() if made}
    for identity in identities:
        answered = [subject for subject in sorted(store.answered(identity)) if subject in backends]
        first_calls.update(backends[subject] for subject in answered)
        missing = tuple(subject for subject in answered if (identity, subject) not in known)
        done.update(backends[subject] for subject in answered if subject not in missing)
        work.add(identity, missing)
    if not work.subjects:
        return
    for event in workers.run(lambda environment: work.asks(store, environment)):
        match event:
            case Observed(_, observation, _, _):
                store.add_repeat(observation, repetition)
                backend = backends[observation.subject]
                done[backend] += 1
                yield Progressed(backend, first_calls[backend] + done[backend])
            case _:
                record(store, event)
                if isinstance(event, BackendFailed):
                    yield event
    store.commit()


def repeated_results(store: Store) -> Iterator[Repeated]:
    """Yield how the repeated calls in the file differ from the first, and how many are missing, for each subject."""
    changed: dict[tuple[str, bool], list[str]] = {}
    for subject, new_process, problem in store.repeats.changed():
        changed.setdefault((subject, bool(new_process)), []).append(problem)
    made, missing = store.repeats.counts(), _missing(store, lambda known, call: not known.get(call))
    for subject, new_process in sorted({*made, *missing}):
        key = subject, new_process
        repeated = Repeated(*key, calls=made.get(key, 0), missing=missing[key])
        yield _compared(store, repeated, changed.get(key, ()))


def interrupted_repeats(store: Store) -> int:
    """Count the repeated calls that an interrupted run did not get to; 0 for a merged file, which need not be complete.

    Calls that were given up, and those of a backend that could not be started again, are none of them.
    """
    failed = {event.backend for event in store.backends() if isinstance(event, BackendFailed)}
    missing = _missing(store, lambda known, call: call not in known)
    return sum(count for (subject, _), count in missing.items() if SubjectId.parse(subject).backend not in failed)


def _missing(store: Store, is_missing: Callable[[Mapping[_Call, bool], _Call], bool]) -> Counter[tuple[str, bool]]:
    """Count the calls that were due to be repeated and that are missing, by subject and `new_process`.

    Args:
        is_missing: of the calls of a repetition that the file has (whether each was made), and a call.
    """
    missing: Counter[tuple[str, bool]] = Counter()
    if not store.settings.repeat or store.settings.merged:
        return missing
    due = [(identity, subject) for identity in without_follow_ups(store) for subject in store.answered(identity)]
    for number in range(1, store.settings.repeat + 1):
        for new_process in (False, True):
            known = store.repeats.already(Repetition(number, new_process))
            missing.update((subject, new_process) for i, subject in due if is_missing(known, (i, subject)))
    return missing


def _compared(store: Store, repeated: Repeated, problems: Iterable[str]) -> Repeated:
    count, worst, other, example = 0, 0, Counter[str](), ""
    for problem in problems:
        first = store.outcomes(problem)[repeated.subject]
        for subject, repetition, outcome in store.repeats.of(problem):
            if (subject, repetition.new_process) != (repeated.subject, repeated.new_process):
                continue
            ulps, kinds = difference(first, outcome)
            if ulps or kinds:
                count += 1
                other.update(kinds)
                example = problem if ulps > worst else example or problem
                worst = max(worst, ulps)
    return replace(repeated, changed=count, ulps=worst, other=dict(sorted(other.items())), example=example)
