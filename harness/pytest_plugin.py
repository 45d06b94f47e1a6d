"""The pytest plugin: a fixture that checks loss functions, and a section in the summary with the results.

    def test_my_loss(logitmus):
        logitmus.assert_conforms(my_loss, framework="torch")

    @pytest.mark.logitmus(framework="torch", profile="quick")  # settings for every check of the test
    def test_quickly(logitmus):
        logitmus.assert_conforms(my_loss)

Loaded by pytest in every project where Logitmus is installed, so it imports nothing but the standard library and
pytest, which loads it; and nothing of Logitmus before the first check. Under pytest-xdist the results travel from
the workers to the summary in the tests' `user_properties`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from logitmus.checking.result import CheckResult

_PROPERTY: Final = "logitmus"
_MARKER: Final = (
    "logitmus(**settings): settings of logitmus.check, such as framework, like, dtypes or profile, for every check "
    "that the test makes with the fixture `logitmus`"
)
_MOST_FINDINGS: Final = 3


class Fixture:
    """The fixture `logitmus`: the functions of the package, with the settings of the test's marker.

    Each check is reported in pytest's summary.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        marks = list(request.node.iter_markers("logitmus"))
        self._settings = {name: value for mark in reversed(marks) for name, value in mark.kwargs.items()}

    def check(self, function: Callable[..., Any] | str, framework: str = "", **settings: Any) -> CheckResult:
        """`logitmus.check`, reported in the summary."""
        __tracebackhide__ = True
        from logitmus.checking.check import check  # noqa: PLC0415  (only where something is checked)
        from logitmus.core.errors import LogitmusError  # noqa: PLC0415

        chosen = {**self._settings, **settings}
        chosen["framework"] = framework or chosen.get("framework", "")
        if not chosen["framework"]:
            raise TypeError(
                'which framework? logitmus.check(loss, framework="torch"), or @pytest.mark.logitmus(framework="torch")'
            )
        try:
            result = check(function, **chosen)
        except LogitmusError as error:  # the message suffices, without a traceback
            raise error.with_traceback(None) from None
        self._request.node.user_properties.append((_PROPERTY, _summary(result)))
        return result

    def assert_conforms(self, function: Callable[..., Any] | str, framework: str = "", **settings: Any) -> CheckResult:
        """`logitmus.assert_conforms`, reported in the summary."""
        __tracebackhide__ = True
        result = self.check(function, framework, **settings)
        if not result.conforms:
            raise AssertionError(str(result))
        return result


@pytest.fixture
def logitmus(request: pytest.FixtureRequest) -> Fixture:
    """Check loss functions: `logitmus.assert_conforms(my_loss, framework="torch")`."""
    return Fixture(request)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write each function checked, with its grades and findings."""
    checks = list(_checks(terminalreporter))
    if not checks:
        return
    conforming = sum(check["conforms"] for _, check in checks)
    terminalreporter.section(f"logitmus: {conforming} of {len(checks)} conform")
    for nodeid, check in checks:
        grades = ", ".join(f"{grade} in {dtype}" for dtype, grade in check["grades"].items())
        verdict = "conforms" if check["conforms"] else "does not conform"
        text = f"{check['function']} {verdict} to {check['held_to']}: {grades or 'no grade'}"
        place = f"({nodeid}, {check['seconds']:.0f} s)"
        terminalreporter.write_line(f"{text} {place}", green=check["conforms"], red=not check["conforms"])
        for finding in check["findings"][:_MOST_FINDINGS]:
            terminalreporter.write_line(f"  {finding}")
        left = len(check["findings"]) - _MOST_FINDINGS
        if left > 0:
            terminalreporter.write_line(f"  and {left} more, in the test's message")


def _summary(result: CheckResult) -> dict[str, Any]:
    """What the summary needs, as plain values: xdist sends them from its workers."""
    return {
        "function": result.function,
        "held_to": " and ".join(dict.fromkeys(result.references.values())),
        "conforms": result.conforms,
        "grades": {dtype: grade.value for dtype, grade in result.grades.items()},
        "findings": [f"{finding.severity.value}: {finding.summary}" for finding in result.findings],
        "seconds": result.seconds,
    }


def _checks(terminalreporter: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The checks of all tests, in the order of the tests' ids."""
    found = [
        (report.nodeid, check)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, check in report.user_properties
        if name == _PROPERTY
    ]
    yield from sorted(found, key=lambda entry: entry[0])
