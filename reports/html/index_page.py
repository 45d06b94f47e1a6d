"""The index of a folder of runs: a static page that a team can publish, with a report for each run beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from logitmus import __version__
from logitmus.reports.html.pages import templates
from logitmus.results import versions, wording
from logitmus.results.summary import Summary
from logitmus.results.verdict import in_words, sentence, wrong

_WIDTH: Final = 14  # of a bar, in pixels
_HEIGHT: Final = 40
_NAMED: Final = 3


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """A run on the index.

    Attributes:
        file: the name of the run's file. page: the name of its report. made: when it was made; "": unknown.
        packages: with their versions. verdict: in a sentence. worst: the worst findings in words.
        bugs, hazards, others: how many findings count. problem: why the file has no report; "": it has one.
    """

    file: str
    page: str = ""
    made: str = ""
    packages: str = ""
    verdict: str = ""
    worst: tuple[str, ...] = ()
    bugs: int = 0
    hazards: int = 0
    others: int = 0
    problem: str = ""

    @property
    def address(self) -> str:
        """The address of the report from the index, for a name of any characters."""
        return f"./{quote(self.page)}"

    @property
    def counts(self) -> str:
        """How many findings count, in words."""
        others = f"{wording.plural(self.others, 'other finding')} that count{'s' if self.others == 1 else ''}"
        return f"{wording.plural(self.bugs, 'bug')}, {wording.plural(self.hazards, 'hazard')}, {others}"

    @classmethod
    def of(cls, file: Path, page: Path, summary: Summary, made: str) -> RunEntry:
        """The entry of a run that was judged."""
        counted = [group.finding.severity.value for group in summary.groups() if group.counts]
        packages = [
            f"{name} {version}" for of in versions.of_backends(summary).values() for name, version in of.items()
        ]
        return cls(
            file=file.name,
            page=page.name,
            made=made,
            packages=", ".join(dict.fromkeys(packages)),
            verdict=sentence(summary),
            worst=tuple(map(in_words, wrong(summary)[:_NAMED])),
            bugs=counted.count("bug"),
            hazards=counted.count("hazard"),
            others=len(counted) - counted.count("bug") - counted.count("hazard"),
        )


def render(entries: Sequence[RunEntry]) -> str:
    """The page, the newest run first; a small plot shows the bugs and hazards of all runs, the oldest first."""
    oldest_first = sorted(entries, key=lambda entry: (entry.made, entry.file))
    judged = [entry for entry in oldest_first if not entry.problem]
    most = max((entry.bugs + entry.hazards for entry in judged), default=0) or 1
    bars = [
        {
            "x": place * _WIDTH,
            "height": max(2, _HEIGHT * (entry.bugs + entry.hazards) // most),
            "tone": "bug" if entry.bugs else "hazard" if entry.hazards else "pass",
            "words": f"{entry.made or entry.file}: {entry.counts}",
        }
        for place, entry in enumerate(judged)
    ]
    text = (
        templates()
        .get_template("index.html")
        .render(
            title=f"{wording.plural(len(entries), 'run')}",
            entries=list(reversed(oldest_first)),
            bars=bars,
            width=_WIDTH * max(len(bars), 1),
            height=_HEIGHT,
            version=__version__,
        )
    )
    return wording.printable(text)
