"""What the probes around batches of calls say of subnormal numbers."""

from logitmus.results.probes import subnormals


def test_workers_that_keep_subnormals_need_one_sentence() -> None:
    assert subnormals([("a@cpu", False, False, 1000), ("b@cpu", False, False, 2)]) == [
        "Subnormal numbers were kept before and after all 1,002 batches of calls"
    ]


def test_a_worker_that_changes_the_mode_is_named() -> None:
    assert subnormals([("a@cpu", False, False, 3), ("b@cpu", False, True, 1), ("b@cpu", True, True, 4)]) == [
        "Subnormal numbers were kept before and after 3 of 8 batches of calls",
        "Subnormal numbers were flushed to zero before and after 4 of 8 batches of calls, by b@cpu",
        "Flushing of subnormal numbers was switched on during 1 of 8 batches of calls, by b@cpu",
    ]


def test_without_batches_nothing_is_said() -> None:
    assert subnormals([]) == []
