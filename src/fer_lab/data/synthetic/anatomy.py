"""A face as numbers: action units of its expression, and traits of the person who shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fer_lab.data.synthetic.people import Codes
from fer_lab.data.synthetic.population import ACCESSORIES
from fer_lab.data.vocabulary import EXPRESSIONS

# FACS numbers of the action units that are drawn.
UNITS = (1, 2, 4, 5, 6, 7, 9, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26)

# The usual EMFACS combinations: activation at full intensity.
EXPRESSION_UNITS: Mapping[str, Mapping[int, float]] = {
    "neutral": {},
    "happy": {6: 0.9, 12: 1.0},
    "sad": {1: 1.0, 4: 0.6, 15: 1.0},
    "surprise": {1: 1.0, 2: 1.0, 5: 0.9, 26: 1.0},
    "fear": {1: 1.0, 2: 0.6, 4: 0.7, 5: 1.0, 7: 0.3, 20: 1.0, 26: 0.5},
    "disgust": {9: 1.0, 15: 0.6, 16: 0.8},
    "anger": {4: 1.0, 5: 0.5, 7: 0.8, 23: 1.0},
    "contempt": {12: 0.6, 14: 1.0},
}

# Units that go along in some faces: (share of faces, activation at full intensity).
ACCOMPANYING_UNITS: Mapping[str, Mapping[int, tuple[float, float]]] = {
    "happy": {25: (0.6, 0.9)},
    "sad": {17: (0.4, 0.7)},
    "fear": {25: (0.6, 0.6)},
    "disgust": {17: (0.35, 0.5)},
    "anger": {24: (0.4, 0.8)},
}

_UNIT_DRAWS = tuple(
    f"unit {unit} {what}" for unit in UNITS for what in ("strength", "side", "present")
)

# What differs between people and pictures; see Traits, hair, accessories and render.
TRAIT_DRAWS = (
    *("tone", "undertone", "width", "jaw", "chin_width", "chin", "ears"),
    *("eye_size", "eye_open", "eye_gap", "eye_tilt", "eye_colour", "fold", "gaze"),
    *("brow_height", "brow_tilt", "brow_arch", "brow_thick", "brow_gap"),
    *("nose_width", "nose_length", "mouth_width", "mouth_height", "corner", "fullness"),
    *("age_look", "hair_style", "hair_colour", "hair_shade", "hair_length", "hairline", "part"),
    *("wave", "beard", "beard_shape"),
    *("glasses_shape", "glasses_colour", "hat_shape", "hat_colour", "earrings_shape"),
    *("earrings_colour", "necklace_shape", "necklace_colour", "lipstick_colour"),
    *("cloth_shape", "cloth_colour", "cloth_shade"),
)
POSE_DRAWS = (
    *("roll", "yaw", "pitch", "scale", "shift_x", "shift_y"),
    *("light", "light_angle", "light_direction", "warmth", "blur", "noise", "noise_at"),
    *("background", "background_hue", "background_value", "background_angle", "background_detail"),
)
DRAWS = (*_UNIT_DRAWS, "contempt side", *TRAIT_DRAWS, *POSE_DRAWS)


@dataclass(frozen=True)
class Face:
    """Everything that is known about one face; ``dataclasses.replace`` gives a counterfactual.

    Attributes:
        gender: ``female`` or ``male``.
        race: a name in ``RACES``.
        age_years: years.
        expression: what the face shows, a name in ``EXPRESSIONS``.
        intensity: of the expression, in [0, 1].
        draws: uniform numbers by name, which fix everything else (person, pose, light, noise).
    """

    gender: str
    race: str
    age_years: float
    expression: str
    intensity: float
    glasses: bool
    hat: bool
    earrings: bool
    necklace: bool
    lipstick: bool
    blond: bool
    draws: Mapping[str, float] = field(repr=False)

    @property
    def accessories(self) -> tuple[str, ...]:
        """Names of those worn."""
        return tuple(name for name in ACCESSORIES if getattr(self, name))

    def action_units(self) -> dict[int, tuple[float, float]]:
        """Activation in [0, 1] by FACS number, on the image's left and right."""
        expression = np.array([EXPRESSIONS.index(self.expression)])
        activation = action_units(expression, np.array([self.intensity]), self.draws_of_units())
        return {
            unit: (pair[0], pair[1])
            for unit, pair in zip(UNITS, activation[0].tolist(), strict=True)
        }

    def draws_of_units(self) -> NDArray[np.float64]:
        """The draws that :func:`action_units` takes, shape ``[1, D]``."""
        return np.array([[self.draws[name] for name in unit_draws()]])


def unit_draws() -> Sequence[str]:
    """Names of the draws that vary the action units, in the order they are taken."""
    return (*_UNIT_DRAWS, "contempt side")


def action_units(
    expression: Codes, intensity: NDArray[np.floating], draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Activation of every unit on both sides of the face.

    Each unit of the expression varies a little from face to face (±20 %) and between the sides
    (±6 %); contempt is shown on one side only.

    Args:
        expression: codes in ``EXPRESSIONS``, shape ``[N]``.
        intensity: in [0, 1], shape ``[N]``.
        draws: uniform numbers named by :func:`unit_draws`, shape ``[N, D]``.

    Returns:
        Values in [0, 1], shape ``[N, len(UNITS), 2]``; the last axis is the image's left, right.

    Source: EMFACS combinations (Friesen and Ekman, 1983).
    """
    share, activation = _unit_tables()
    strength, side, present = np.moveaxis(draws[:, :-1].reshape(len(draws), len(UNITS), 3), 2, 0)
    level = activation[expression] * (present < share[expression])
    level = level * np.asarray(intensity, dtype=float)[:, None] * (0.8 + 0.4 * strength)
    lean = 0.12 * (side - 0.5)
    both = np.stack((level * (1 + lean), level * (1 - lean)), axis=-1)
    contempt = expression == EXPRESSIONS.index("contempt")
    right = draws[:, -1] < 0.5
    both[contempt & right, :, 0] = 0
    both[contempt & ~right, :, 1] = 0
    clipped: NDArray[np.float64] = np.clip(both, 0, 1)
    return clipped


@cache
def _unit_tables() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of faces that show a unit, and its activation: both ``[expressions, units]``."""
    share = np.zeros((len(EXPRESSIONS), len(UNITS)))
    activation = np.zeros_like(share)
    for row, name in enumerate(EXPRESSIONS):
        for unit, value in EXPRESSION_UNITS[name].items():
            share[row, UNITS.index(unit)], activation[row, UNITS.index(unit)] = 1, value
        for unit, pair in ACCOMPANYING_UNITS.get(name, {}).items():
            share[row, UNITS.index(unit)], activation[row, UNITS.index(unit)] = pair
    return share, activation


def bell(u: float) -> float:
    """A standard normal number from a uniform one, cut at ±2."""
    return max(-2.0, min(2.0, _NORMAL.inv_cdf(min(max(u, 1e-3), 1 - 1e-3))))


_NORMAL = NormalDist()


@dataclass(frozen=True)
class _Tendency:
    """Where a group's traits are centred; people of every group overlap widely."""

    tone: tuple[float, float]  # range on the scale of skin tones, 0 light to 1 dark
    eye_open: float = 1.0
    eye_tilt: float = 0.012
    fold: float = 0.95  # share with a visible upper-lid crease
    nose_width: float = 0.145
    nose_length: float = 0.0
    fullness: float = 1.0
    brow_thick: float = 1.0


_TENDENCIES: Mapping[str, _Tendency] = {
    "white": _Tendency((0.0, 0.3), nose_length=0.01, fullness=0.95),
    "black": _Tendency((0.58, 1.0), nose_width=0.172, nose_length=-0.01, fullness=1.22),
    "asian": _Tendency((0.06, 0.36), eye_open=0.88, eye_tilt=0.022, fold=0.4, nose_length=-0.01),
    "indian": _Tendency((0.36, 0.74), nose_width=0.15, fullness=1.08, brow_thick=1.12),
    "latinx": _Tendency((0.2, 0.58), nose_width=0.15, fullness=1.06),
    "middle_eastern": _Tendency((0.2, 0.5), nose_length=0.02, brow_thick=1.2),
}


@dataclass(frozen=True)
class Traits:
    """Sizes and places in face units (the half-height of a face is about 1; y points down)."""

    male: float  # 0 or 1, faded out in childhood
    child: float  # 1 in a small child, 0 from 16
    elder: float  # 0 until 40, 1 at 80
    tone: float
    width: float
    jaw: float
    chin_width: float
    chin: float
    eye_x: float
    eye_y: float
    eye_size: float
    eye_open: float
    eye_tilt: float
    fold: bool
    brow_y: float
    brow_tilt: float
    brow_arch: float
    brow_thick: float
    brow_gap: float
    nose_width: float
    nose_y: float
    mouth_width: float
    mouth_y: float
    corner: float
    upper_lip: float
    lower_lip: float
    neck: float


def traits(face: Face) -> Traits:
    """The person: demographics shift where traits are centred, draws vary them widely."""
    u, group = face.draws, _TENDENCIES[face.race]
    years = face.age_years + 4 * (u["age_look"] - 0.5)
    child = min(max((16.5 - years) / 11.5, 0.0), 1.0)
    elder = min(max((years - 38) / 36, 0.0), 1.0)
    male = (1 - child) * (face.gender == "male")
    female = (1 - child) * (face.gender == "female")
    fullness = group.fullness * (1 + 0.1 * bell(u["fullness"])) * (1 - 0.2 * elder)
    fullness *= 1 + 0.1 * female - 0.06 * male
    return Traits(
        male=male,
        child=child,
        elder=elder,
        tone=group.tone[0] + (group.tone[1] - group.tone[0]) * u["tone"],
        width=0.745 + 0.015 * male + 0.035 * child + 0.018 * bell(u["width"]),
        jaw=0.80 + 0.075 * male + 0.02 * child + 0.03 * elder + 0.022 * bell(u["jaw"]),
        chin_width=0.25 + 0.08 * male + 0.06 * child + 0.02 * bell(u["chin_width"]),
        chin=0.995 + 0.03 * male - 0.13 * child + 0.018 * bell(u["chin"]),
        eye_x=0.305 + 0.01 * child + 0.010 * bell(u["eye_gap"]),
        eye_y=-0.13 + 0.11 * child,
        eye_size=0.163 + 0.022 * child + 0.008 * female + 0.006 * bell(u["eye_size"]),
        eye_open=group.eye_open
        * (1 + 0.22 * child + 0.08 * female - 0.1 * elder + 0.07 * bell(u["eye_open"])),
        eye_tilt=group.eye_tilt - 0.015 * elder + 0.008 * bell(u["eye_tilt"]),
        fold=u["fold"] < group.fold,
        brow_y=-0.28 - 0.02 * female + 0.01 * male - 0.02 * child + 0.014 * bell(u["brow_height"]),
        brow_tilt=0.018 * bell(u["brow_tilt"]),
        brow_arch=0.045 + 0.018 * female - 0.012 * male + 0.010 * bell(u["brow_arch"]),
        brow_thick=group.brow_thick
        * (0.029 + 0.014 * male - 0.009 * child + 0.004 * bell(u["brow_thick"])),
        brow_gap=0.125 + 0.010 * bell(u["brow_gap"]),
        nose_width=group.nose_width
        * (1 + 0.06 * male - 0.2 * child + 0.07 * bell(u["nose_width"]) + 0.05 * elder),
        nose_y=0.29 + group.nose_length - 0.01 * child + 0.012 * bell(u["nose_length"]),
        mouth_width=0.28 - 0.035 * child + 0.012 * bell(u["mouth_width"]),
        mouth_y=0.565 - 0.035 * child + 0.012 * bell(u["mouth_height"]),
        corner=0.012 * bell(u["corner"]),
        upper_lip=0.060 * fullness,
        lower_lip=0.088 * fullness,
        neck=0.36 + 0.09 * male - 0.09 * child,
    )
