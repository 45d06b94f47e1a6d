"""What a user of a function has to do about a transition, in a sentence."""

from __future__ import annotations

from logitmus.auditing.classification import Shown
from logitmus.auditing.transitions import Change
from logitmus.core import catalogue
from logitmus.core.causes import Cause

_ADVICE = {
    Change.GONE: "Yes: every call of it fails.",
    Change.SPECIAL: "Yes, if such inputs occur in your code.",
    Change.FORM: "Yes, if your code depends on it.",
    Change.PRECISION: "Only if you train or compare in this dtype: the digits are different.",
    Change.LESS_ACCURATE: "Only if you need the digits: the results are still within their error budgets.",
    Change.MESSAGE: "Only if your code reads the message.",
    Change.SLOWER: "Only if the loss takes much of the time of your program.",
    Change.FASTER: "No.",
    Change.MORE_ACCURATE: "No.",
    Change.FIXED: "No. Workarounds and accepted findings for it can be removed.",
    Change.NEW: "No.",
    Change.NO_WARNING: "No.",
    Change.BITS: "No: both results are as accurate as their budgets allow. Stored values need a tolerance.",
}


def advice(shown: Shown) -> str:
    """The answer to "do I have to act?"."""
    match shown.change:
        case Change.NEWLY_WRONG:
            return f"Yes: {catalogue.impact(Cause(shown.cause)) or 'such inputs now give a wrong result'}."
        case Change.WRONG_OTHERWISE:
            return (
                f"Yes: {catalogue.impact(Cause(shown.cause)) or 'it is worse'}."
                if shown.worse
                else ("Not more than before: it was wrong, too.")
            )
        case Change.CONVENTION:
            # The impact is that of a choice other than the usual one; without a finding the usual one is made now.
            impact = catalogue.impact(Cause(shown.cause)) if shown.appeared else ""
            when = "Yes" if shown.worse else "Yes, if you rely on it"
            return when + (f": {impact}." if impact else ".")
        case Change.ERRORS if shown.before.startswith("raises"):
            return f"Yes, if your code handles the exception: the call no longer {shown.before}."
        case Change.ERRORS:
            return "Yes, if such inputs occur in your code: the call now fails."
        case Change.WARNING if "deprecat" in shown.what.lower():
            return "Yes, before a later upgrade: the warning says what will go."
        case Change.WARNING:
            return "Read it; it fails tests that treat warnings as errors."
        case change:
            return _ADVICE[change]
