"""`logitmus judge`: re-evaluate a run file; needs no framework."""

from __future__ import annotations

import typer

from logitmus.cli.against import Against, check_fail_on, compared
from logitmus.cli.exits import FailOn
from logitmus.cli.options import (
    Expect,
    FailOnOption,
    Outputs,
    RunFile,
    StrictOption,
    is_strict,
    with_outputs,
)


@with_outputs
def judge(
    run: RunFile,
    outputs: Outputs,
    expect: Expect = None,
    against: Against = None,
    fail_on: FailOnOption = FailOn.DIFFERENCE,
    strict: StrictOption = None,
) -> None:
    """Re-evaluate a run file with this version of Logitmus. Needs no framework."""
    from logitmus.cli.delivery import acceptance, deliver
    from logitmus.engine.run import judge_run
    from logitmus.storage.store import Store

    check_fail_on(fail_on, against)
    accepted = acceptance(expect)
    outputs.refuse_overwriting(run_file=run, earlier_run=against, file_of_expectations=accepted.file)
    with Store.open(run) as store, compared(against, store) as comparing:
        code = deliver(
            judge_run(store),
            accepted,
            outputs=outputs,
            fail_on=fail_on,
            strict=is_strict(strict),
            requested={backend.backend for backend in store.backends()} if store.settings.backends else (),
            store=store,
            comparing=comparing,
        )
    raise typer.Exit(code)
