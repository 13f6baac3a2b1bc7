"""Checks that the settings of population and appearance share; each error names the option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fer_lab.errors import ConfigError, near_miss


def refuse_unknown(given: object, known: Sequence[str], where: str) -> None:
    """Raise a ConfigError unless ``given`` is a mapping with keys from ``known``."""
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{given!r} is not a mapping", where=where, hint=f"entries: {', '.join(known)}"
        )
    for name in map(str, given):
        if name not in known:
            near = near_miss(name, known)
            raise ConfigError(
                f"{where} has no {name!r}" + (f"; did you mean {near!r}?" if near else ""),
                where=where,
                hint=f"known: {', '.join(known)}",
            )


def pair(value: Any, where: str) -> tuple[float, float]:
    """Two numbers, or a ConfigError that names the option."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise ConfigError(f"{value!r} is not a lowest and a highest value", where=where)
    low, high = (number(each, where, float("-inf"), float("inf")) for each in value)
    return low, high


def number(value: Any, where: str, low: float, high: float) -> float:
    """A number within limits, or a ConfigError that names the option."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        upper = "" if high == float("inf") else f" to {high:g}"
        raise ConfigError(
            f"{value!r} cannot stand for {where}",
            where=where,
            hint=f"a number from {low:g}{upper}" if low > float("-inf") else "a number",
        )
    return float(value)
