"""How pictures are taken: light, blur, noise, framing, pose and background, as ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from fer_lab.data.synthetic.checks import number, pair, refuse_unknown
from fer_lab.errors import ConfigError

Range = Sequence[float]


@dataclass(frozen=True)
class Appearance:
    """Ranges that each picture draws from evenly; equal ends switch a variation off.

    Two sets of ranges make two "datasets" of the same people.

    Attributes:
        light: brightness of the whole picture, 1 as painted.
        light_gradient: how much brighter the lit side of the picture is, as a share.
        warmth: colour of the light, −1 bluish to 1 reddish.
        blur: standard deviation in percent of the picture's width.
        noise: standard deviation of the sensor's noise in grey levels (of 255).
        scale: size of the face; 1 shows head and shoulders.
        shift: largest displacement in shares of the picture's width.
        roll: largest rotation in the picture's plane, degrees.
        yaw: largest turn to the side, degrees.
        pitch: largest nod, degrees.
        background: strength of the background's pattern, 0 plain.
        grey: whether pictures are without colour.
    """

    light: Range = (0.75, 1.15)
    light_gradient: Range = (0.0, 0.35)
    warmth: Range = (-0.3, 0.7)
    blur: Range = (0.0, 0.9)
    noise: Range = (1.0, 7.0)
    scale: Range = (1.05, 1.3)
    shift: float = 0.03
    roll: float = 10.0
    yaw: float = 14.0
    pitch: float = 8.0
    background: Range = (0.0, 0.5)
    grey: bool = False

    @classmethod
    def of(cls, settings: Appearance | Mapping[str, Any] | None) -> Appearance:
        """The defaults with some ranges changed.

        Raises:
            ConfigError: for an unknown field or a range outside what can be drawn.
        """
        if isinstance(settings, Appearance):
            appearance = settings
        else:
            given = {name: value for name, value in (settings or {}).items() if value is not None}
            refuse_unknown(given, [each.name for each in fields(cls)], "appearance")
            appearance = cls(**given)
        for name, (low, high) in _LIMITS.items():
            where = f"appearance.{name}"
            value = getattr(appearance, name)
            if name in _LARGEST:
                number(value, where, low, high)
                continue
            first, last = pair(value, where)
            if not low <= first <= last <= high:
                raise ConfigError(
                    f"{first:g} to {last:g} cannot stand for {where}",
                    where=where,
                    hint=f"lowest, then highest value, from {low:g} to {high:g}",
                )
        return appearance

    def weakened(self, difference: float) -> Appearance:
        """The appearance part of the way from the defaults to this one.

        Args:
            difference: 1 is this appearance, 0 the defaults; between, ranges are interpolated and
                ``grey`` counts from a half on.

        Raises:
            ConfigError: for a number outside [0, 1].

        >>> Appearance(light=(0.95, 1.15), yaw=4.0).weakened(0.5).light
        (0.85, 1.15)
        """
        number(difference, "difference", 0, 1)
        if difference == 1:
            return self
        usual = Appearance()
        values: dict[str, Any] = {}
        for name in _LIMITS:
            mine, other = getattr(self, name), getattr(usual, name)
            if name in _LARGEST:
                values[name] = _between(other, mine, difference)
            else:
                values[name] = tuple(
                    _between(*ends, difference) for ends in zip(other, mine, strict=True)
                )
        return Appearance(**values, grey=self.grey and difference >= 0.5)

    def settings(self) -> dict[str, Any]:
        """Every field as plain containers, for hashing and records."""
        return {
            name: list(value) if isinstance(value, Sequence) else value
            for name, value in asdict(self).items()
        }


def _between(start: float, end: float, share: float) -> float:
    # Rounded, so that 0 is the default to the last bit and hashes of settings agree.
    return round(start + share * (end - start), 9)


_LARGEST = ("shift", "roll", "yaw", "pitch")
_LIMITS: Mapping[str, tuple[float, float]] = {
    "light": (0.05, 3),
    "light_gradient": (0, 1),
    "warmth": (-1, 1),
    "blur": (0, 10),
    "noise": (0, 80),
    "scale": (0.3, 2),
    "shift": (0, 0.3),
    "roll": (0, 60),
    "yaw": (0, 25),
    "pitch": (0, 20),
    "background": (0, 1),
}
