"""Record the events of a pool in the run's file."""

from __future__ import annotations

from logitmus.core.events import BackendFailed
from logitmus.execution.pool import BatchEnded, Observed, PoolEvent
from logitmus.storage.store import Store


def record(store: Store, event: PoolEvent) -> None:
    """Store what `event` adds to the run: an observation, a failed backend, or how a worker treats subnormals."""
    match event:
        case BackendFailed():
            store.add_backend(event)
        case BatchEnded(backend, variant, device, before, after):
            worker = f"{backend}{'+' if variant else ''}{variant}@{device}"
            store.add_flushing(worker, before=before, after=after)
        case Observed(_, observation, seconds, first):
            store.add(observation, seconds=seconds, first=first)
