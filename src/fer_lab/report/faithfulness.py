"""How far an explanation can be trusted, in words: its gains over random maps, with intervals.

A gain whose interval covers 0 is no gain; what was not measured is said to be so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, log10
from typing import Any, NamedTuple

from fer_lab.report.wording import MISSING, count, is_number, number, printable


@dataclass(frozen=True)
class Check:
    """One test of the maps.

    Attributes:
        title: what is tested.
        own: the figure of the maps.
        beside: the same of random maps, or places.
        gain: how much better the maps are, with its interval; empty where nothing is compared.
        verdict: in a few words.
        sentence: with the figures.
    """

    title: str
    own: str
    beside: str
    gain: str
    verdict: str
    sentence: str


class _Words(NamedTuple):
    """How one comparison reads."""

    title: str
    own: str
    beside: str
    done: str
    better: str
    same: str
    worse: str
    than: str


_COMPARED = {
    "deletion": _Words(
        "Deletion: area, low is good",
        "area",
        "random_area",
        "Deleting what the maps mark first",
        "lowers the class's probability faster than deleting at random",
        "lowers the class's probability no faster than deleting at random",
        "lowers the class's probability more slowly than deleting at random",
        "a random map",
    ),
    "insertion": _Words(
        "Insertion: area, high is good",
        "area",
        "random_area",
        "Showing what they mark first",
        "raises it faster than showing at random",
        "raises it no faster than showing at random",
        "raises it more slowly than showing at random",
        "a random map",
    ),
    "ablation": _Words(
        "Ablation: drop without the top region",
        "drop",
        "random_drop",
        "Hiding the region they mark most",
        "costs more than hiding its shape elsewhere",
        "costs no more than hiding its shape elsewhere",
        "costs less than hiding its shape elsewhere",
        "elsewhere",
    ),
}
# A gain is a mean difference of probabilities: below a percentage point it is hardly one.
_SMALL = 0.01
NOT_MEASURED = "How far the maps can be trusted was not measured."


def estimate(facts: Mapping[str, Any], digits: int | None = None) -> str:
    """A value with its interval as text; by default with two digits that are not 0, four at most.

    >>> estimate({"value": 0.21, "low": -0.03, "high": 0.45}), estimate({"value": 0.0123})
    ('0.21 (-0.03 to 0.45)', '0.012')
    """
    value, low, high = (facts.get(key) for key in ("value", "low", "high"))
    if digits is None:
        digits = min(4, max(2, 1 - floor(log10(abs(value))))) if value else 2
    if not (is_number(low) and is_number(high)):
        return number(value, digits)
    return f"{number(value, digits)} ({number(low, digits)} to {number(high, digits)})"


def grid_words(explanation: Mapping[str, Any]) -> str:
    """The size of the layer's map.

    >>> grid_words({"grid": [7, 7]})
    '7 × 7'
    """
    return " × ".join(str(side) for side in explanation["grid"])


def checks(explanation: Mapping[str, Any]) -> list[Check]:
    """The tests that were made, each with its verdict.

    Args:
        explanation: ``explanations/summary.json``.
    """
    facts = explanation.get("faithfulness") or {}
    found = [
        _comparison(facts[key], words)
        for key, words in _COMPARED.items()
        if is_number(_part(facts, key, "gain").get("value"))
    ]
    if is_number(_part(facts, "randomisation", "left").get("value")):
        found.append(_randomisation(facts["randomisation"]))
    return found


def conclusion(explanation: Mapping[str, Any]) -> str:
    """What deletion and insertion say together, in one sentence."""
    facts = explanation.get("faithfulness") or {}
    gains = {key: _part(facts, key, "gain") for key in ("deletion", "insertion")}
    known = {key: sign for key, gain in gains.items() if (sign := _sign(gain)) is not None}
    better = [key for key, sign in known.items() if sign > 0]
    if not known:
        return NOT_MEASURED
    if not better:
        return (
            "The maps are no better than random ones: what follows does not show what the model "
            "uses."
        )
    if max(gains[key]["value"] for key in better) < _SMALL:
        return "The maps are hardly better than random ones: read them with care."
    if len(better) < len(known):
        return f"The maps are better than random ones at {better[0]} only: read them with care."
    return "The maps mark what the model uses better than random maps do."


def footnote(explanation: Mapping[str, Any]) -> str:
    """How far to trust a figure made of these maps, in one line.

    >>> footnote({"grid": [7, 7], "faithfulness": None})
    'How far to trust it: not measured; grid 7 × 7.'
    """
    facts = explanation.get("faithfulness") or {}
    parts = []
    for key in ("deletion", "insertion"):
        gain = _part(facts, key, "gain")
        if is_number(gain.get("value")):
            sign = _sign(gain)
            note = "" if sign == 1 else ", no better than a random map" if sign is not None else ""
            parts.append(f"{key} gain {estimate(gain)}{note}")
    left = _part(facts, "randomisation", "left")
    if is_number(left.get("value")):
        chance = number(facts["randomisation"].get("chance"), 2)
        parts.append(
            f"correlation {number(left['value'], 2)} with maps of random weights (chance {chance})"
        )
    parts = parts or ["not measured"]
    grid = grid_words(explanation)
    return f"How far to trust it: {'; '.join([*parts, *[f'grid {grid}'] * bool(grid)])}."


def conditions(explanation: Mapping[str, Any]) -> str:
    """On what the checks were made."""
    facts = explanation["faithfulness"]
    return (
        f"On {count(facts.get('samples'))} faces, {count(facts.get('steps'))} steps; in a removed "
        f"pixel's place: {printable(facts.get('baseline'))}. "
        f"{facts.get('level', 0.95):.0%} intervals over faces."
    )


def _part(facts: Mapping[str, Any], check: str, figure: str) -> Mapping[str, Any]:
    """One figure of a check with its interval; empty where it is missing."""
    return (facts.get(check) or {}).get(figure) or {}


def _sign(gain: Mapping[str, Any]) -> int | None:
    """1 where the gain's interval lies above 0, -1 below, 0 where it covers 0, None without one."""
    low, high = gain.get("low"), gain.get("high")
    if not (is_number(low) and is_number(high)):
        return None
    return 1 if low > 0 else -1 if high < 0 else 0


def _comparison(facts: Mapping[str, Any], words: _Words) -> Check:
    gain = facts["gain"]
    verdict, reads = {
        1: (f"better than {words.than}", words.better),
        0: (f"no better than {words.than}", words.same),
        -1: (f"worse than {words.than}", words.worse),
        None: ("too few faces for an interval", "cannot be judged, for want of faces"),
    }[_sign(gain)]
    sentence = f"{words.done} {reads}: gain {estimate(gain)}."
    own, beside = (number(facts.get(key)) for key in (words.own, words.beside))
    return Check(words.title, own, beside, estimate(gain, 3), verdict, sentence)


def _randomisation(facts: Mapping[str, Any]) -> Check:
    left, chance = facts["left"], facts.get("chance")
    low = left.get("low")
    if not (is_number(low) and is_number(chance)):
        verdict, tail = MISSING, ""
    elif low > chance:
        verdict, tail = "more than by chance", ": that much of them is there without any learning"
    else:
        verdict, tail = "as by chance", ", which is as by chance"
    sentence = (
        f"With all weights drawn anew the maps correlate {estimate(left)} with the model's own"
        f" ({number(chance, 2)} by chance){tail}."
    )
    title = "Weights drawn anew: correlation left"
    return Check(title, number(left["value"]), number(chance), "", verdict, sentence)
