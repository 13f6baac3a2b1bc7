"""How figures and names read: the one wording of tables, figures and pages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeGuard

from fer_lab.data.vocabulary import REGION_TITLES
from fer_lab.errors import DataError

# What incomplete facts raise: files that cannot be read, and whole files of another form.
INCOMPLETE = (DataError, LookupError, TypeError, ValueError, AttributeError)

SPLIT_TITLES = {"val": "Validation", "test": "Test"}
METHOD_TITLES = {
    "gradcam": "Grad-CAM",
    "gradcam_plus_plus": "Grad-CAM++",
    "layercam": "LayerCAM",
    "hirescam": "HiResCAM",
    "lrp": "LRP",
    "lime": "LIME",
    "integrated_gradients": "Integrated gradients",
    "occlusion": "Occlusion",
}
MISSING = "–"


def is_number(value: object) -> TypeGuard[float]:
    """Whether a fact is a finite number; undefined ones are None or NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, digits: int = 3, *, signed: bool = False) -> str:
    """A figure as text, a dash where it is undefined.

    >>> number(0.12345), number(None), number(0.1, 2, signed=True)
    ('0.123', '–', '+0.10')
    """
    return f"{value:{'+' if signed else ''}.{digits}f}" if is_number(value) else MISSING


def interval(facts: Mapping[str, Any], digits: int = 3) -> str:
    """The ends of an interval as text.

    >>> interval({"value": 0.5, "low": 0.4, "high": 0.61})
    '0.400–0.610'
    """
    ends = facts.get("low"), facts.get("high")
    if not all(map(is_number, ends)):
        return MISSING
    return "–".join(number(end, digits) for end in ends)


def probability(value: Any) -> str:
    """A p value as text.

    >>> probability(0.0004), probability(0.031)
    ('<0.001', '0.031')
    """
    return "<0.001" if is_number(value) and value < 0.001 else number(value)


def count(value: Any) -> str:
    """A count with its thousands apart."""
    return f"{value:,}" if is_number(value) else MISSING


def duration(seconds: Any) -> str:
    """A length of time, in the two units that matter; nothing where it is unknown.

    >>> duration(131), duration(9.6), duration(7260)
    ('2 min 11 s', '10 s', '2 h 1 min')
    """
    if not is_number(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def moment(text: object) -> str:
    """An ISO time without its fractions of a second; what is none is given back as it is.

    >>> moment("2026-03-01T10:00:00.123456+00:00"), moment(None)
    ('2026-03-01 10:00:00 UTC', '')
    """
    try:
        return datetime.fromisoformat(str(text)).strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()
    except ValueError:
        return str(text or "")


def name(text: object) -> str:
    """A name of a group, class or attribute for people: no underscores, nothing unprintable.

    >>> name("middle_eastern")
    'middle eastern'
    """
    return printable(str(text).replace("_", " "))


def printable(text: object) -> str:
    """Text from data with its control characters replaced, so that it cannot steer a terminal."""
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(text)
    )


def figure_label(text: object, longest: int = 26) -> str:
    r"""A name from data for a figure: cut when long, and never read as mathematics.

    >>> figure_label("middle_eastern"), figure_label("$x$")
    ('middle eastern', '\\$x\\$')
    """
    return run_label(name(text), longest)


def run_label(text: object, longest: int = 70) -> str:
    """The name or the folder of a run for a figure: as it is, cut when long."""
    plain = printable(text)
    plain = plain if len(plain) <= longest else plain[: longest - 1] + "…"
    return plain.replace("$", r"\$")


def inferred_label(facts: Mapping[str, Any]) -> str | None:
    """``inferred by <model>`` for an attribute that nobody annotated, else None."""
    return f"inferred by {printable(facts.get('source'))}" if facts.get("inferred") else None


def inferred_note(attributes: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Which of a split's attributes nobody annotated, as a sentence, or None.

    >>> inferred_note({"gender": {"inferred": True, "source": "deepface"}})
    'Inferred, not annotated: gender (by deepface). Errors of the inference move every gap.'
    """
    named = [
        f"{name(attribute)} (by {printable(part.get('source'))})"
        for attribute, part in attributes.items()
        if part.get("inferred")
    ]
    if not named:
        return None
    return f"Inferred, not annotated: {', '.join(named)}. Errors of the inference move every gap."


def without_metrics(run_status: str) -> str:
    """Why a run has no metrics."""
    if run_status == "finished":
        return "no audit was asked for: the callbacks that write metrics were left out"
    return "the run ended before a validation or test set was evaluated"


def why(error: BaseException) -> str:
    """What is wrong with facts that raised one of `INCOMPLETE`, as part of a sentence."""
    if isinstance(error, DataError):
        return error.what
    return f"the file has another form ({type(error).__name__}: {error})"


def split_title(split: str) -> str:
    """A split's name for people."""
    return SPLIT_TITLES.get(split, name(split))


def method_title(method: str) -> str:
    """An attribution method's name for people."""
    return METHOD_TITLES.get(method, name(method))


def region_title(region: str) -> str:
    """A region's name for people."""
    return REGION_TITLES.get(region, name(region))


def worst_group(facts: Mapping[str, Any] | None) -> str:
    """Which group has the lowest accuracy, and of how many samples.

    >>> worst_group({"attribute": "race", "group": "black", "accuracy": 0.8, "count": 1200})
    'race = black, 1,200 faces'
    """
    if not facts or facts.get("group") is None:
        return "no group is large enough"
    inferred = " (inferred)" if facts.get("inferred") else ""
    attribute = f"{name(facts['attribute'])}{inferred} = " if facts.get("attribute") else ""
    return f"{attribute}{name(facts['group'])}, {count(facts.get('count'))} faces"


def class_words(record: Mapping[str, Any]) -> str:
    """What a run tells apart, in words.

    >>> class_words({"target": "expression"}), class_words({"target": "skin_tone"})
    ('expressions', 'classes of skin tone')
    """
    target = record.get("target") or "expression"
    return "expressions" if target == "expression" else f"classes of {name(target)}"


def dropped(record: Mapping[str, Any]) -> str | None:
    """What was set aside while reading, with the reasons, or None."""
    reasons = {
        reason: rows
        for reason, rows in ((record.get("data") or {}).get("dropped") or {}).items()
        if rows
    }
    if not reasons:
        return None
    return "; ".join(f"{count(rows)} {printable(reason)}" for reason, rows in reasons.items())
