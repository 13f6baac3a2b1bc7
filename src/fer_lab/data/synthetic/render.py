"""A face as a picture, its mask of 19 regions and its 68 landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fer_lab.data.assets import Sample
from fer_lab.data.pixels.opencv import opencv
from fer_lab.data.synthetic import accessories, features, hair, relief
from fer_lab.data.synthetic.anatomy import Face, Traits, traits
from fer_lab.data.synthetic.appearance import Appearance
from fer_lab.data.synthetic.canvas import Canvas, Pixels
from fer_lab.data.synthetic.curves import Points, like
from fer_lab.data.synthetic.draws import uniform
from fer_lab.data.synthetic.painting import Units, paint
from fer_lab.data.synthetic.palette import Palette, palette
from fer_lab.errors import ConfigError

# Part of SyntheticReader.key(): raise it with every change that moves a pixel.
RENDERER_VERSION = 5

SIZES = (48, 512)
_WIDTH = 3.05  # face units that a picture shows at scale 1
_CENTRE = np.array((0.0, 0.12))  # place of the picture's centre in face units
_NOISE_SIDE = 640

_MIRROR = np.array((-1.0, 1.0))
# Shapes that do not turn with the head.
_BODY = ("neck", "cloth", "collar", "chain", "pendant")


def render(face: Face, size: int, appearance: Appearance | None = None) -> Sample:
    """Draw a face.

    Args:
        face: who, with which expression, wearing what.
        size: height and width in pixels, 48 to 512.
        appearance: ranges of light, blur, noise, framing, pose and background.

    Returns:
        Image, region mask and landmarks (pixel centres are whole numbers; a landmark may lie
        outside the picture).

    Raises:
        ConfigError: for a size outside 48 to 512.
    """
    if not SIZES[0] <= size <= SIZES[1]:
        raise ConfigError(
            f"synthetic faces cannot be drawn at {size} pixels",
            where="image_size",
            hint=f"choose {SIZES[0]} to {SIZES[1]}",
        )
    how = appearance or Appearance()
    t = traits(face)
    units = face.action_units()
    shapes, unit = placed(face_shapes(face, t, units), face, size, how)
    points = shapes.pop("landmarks")
    colours = palette(face, t)
    canvas = Canvas(shapes, size, unit, _background(face, colours, how))
    paint(canvas, face, t, units, colours, shapes)
    image = _photographed(canvas.picture(), face, how)
    return Sample(image=image, regions=canvas.mask, landmarks=points.astype(np.float32))


def face_shapes(face: Face, t: Traits, units: Units) -> features.Shapes:
    """Every shape of a face in face units, seen from the front; ``landmarks`` is ``[68, 2]``."""
    left = {number: pair[0] for number, pair in units.items()}
    right = {number: pair[1] for number, pair in units.items()}
    drop = 0.15 * sum(units[26]) / 2 + 0.035 * sum(units[25]) / 2 + 0.03 * sum(units[16]) / 2
    shapes = features.head(t, drop)
    for side, values, mirror in (("l", left, _MIRROR), ("r", right, None)):
        gaze = 2 * face.draws["gaze"] - 1
        parts = features.brow(t, values) | features.eye(t, values, gaze if side == "r" else -gaze)
        for name, points in parts.items():
            shapes[f"{name}_{side}"] = points if mirror is None else points * mirror
    shapes |= features.nose(t, {n: (left[n] + right[n]) / 2 for n in units})
    shapes |= features.mouth(t, left, right)
    shapes |= relief.lines(t, shapes)
    shapes |= relief.volumes(t, shapes, face.draws["light_direction"])
    shapes["landmarks"] = features.landmarks(shapes)
    shapes |= hair.hair_shapes(face, t)
    shapes |= hair.beard_shapes(face, t, shapes)
    shapes |= accessories.cloth(face, t)
    for name in face.accessories:
        if name in accessories.SHAPES:
            shapes |= accessories.SHAPES[name](face, t)
    return shapes


def placed(
    shapes: features.Shapes, face: Face, size: int, how: Appearance
) -> tuple[features.Shapes, float]:
    """Turn, nod, tilt and frame the shapes: pixels of the picture, and pixels of a face unit."""
    u = face.draws
    yaw, pitch, roll = (
        math.radians(limit) * (2 * u[name] - 1)
        for name, limit in (("yaw", how.yaw), ("pitch", how.pitch), ("roll", how.roll))
    )
    unit = size / _WIDTH * _within(how.scale, u["scale"])
    shift = (2 * u["shift_x"] - 1, 2 * u["shift_y"] - 1)
    origin = (size - 1) / 2 + size * how.shift * np.array(shift)
    together = np.concatenate(list(shapes.values()))
    body = np.repeat([name in _BODY for name in shapes], [len(each) for each in shapes.values()])

    x, y = together[:, 0], together[:, 1]
    ball = 0.55 * np.sqrt(np.maximum(0, 1 - (x / 0.8) ** 2 - ((y + 0.03) / 1.12) ** 2))
    depth = ball + 0.15 * np.exp(-((x / 0.14) ** 2) - ((y - 0.16) / 0.2) ** 2)
    turned = np.stack(
        (
            x * math.cos(yaw) + depth * math.sin(yaw),
            y * math.cos(pitch) + depth * math.sin(pitch),
        ),
        axis=1,
    )
    turned[body] = together[body]
    pixels = np.where(
        body[:, None], _rotated(turned, 0.3 * roll, (0, 1.3)), _rotated(turned, roll, (0, 0.5))
    )
    pixels = (pixels - _CENTRE) * unit + origin
    return like(shapes, pixels), unit


def _rotated(points: Points, angle: float, about: tuple[float, float]) -> Points:
    cos, sin = math.cos(angle), math.sin(angle)
    turned: Points = (points - about) @ np.array(((cos, sin), (-sin, cos))) + about
    return turned


def _within(ends: Sequence[float], u: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * u


def _background(face: Face, colours: Palette, how: Appearance) -> Pixels:
    """A small picture of soft spots around one colour."""
    u = face.draws
    patterns = _patterns()
    pattern = patterns[int(u["background_angle"] * len(patterns))]
    strength = _within(how.background, u["background_detail"])
    small = np.array(colours.background) * (1 + strength * pattern)
    picture: Pixels = np.clip(small, 0, 255).astype(np.uint8)
    return picture


@cache
def _patterns() -> NDArray[np.float64]:
    """Fixed patterns in [-1, 1], shape ``[16, 4, 4, 3]``: mostly brightness, a little colour."""
    index = np.arange(16 * 16)
    draws = 2 * uniform(0, index, ["all", "red", "green", "blue"]) - 1
    return (0.8 * draws[:, :1] + 0.2 * draws[:, 1:]).reshape(16, 4, 4, 3)


def _photographed(picture: Pixels, face: Face, how: Appearance) -> Pixels:
    """Blur, light and the sensor's noise."""
    u, size = face.draws, len(picture)
    sigma = _within(how.blur, u["blur"]) * size / 100
    if sigma > 0.15:
        picture = opencv().GaussianBlur(picture, (0, 0), sigma)
    angle = math.pi * (0.15 + 0.7 * u["light_angle"])
    gradient = _within(how.light_gradient, u["light"])
    side = 1.0 if u["light_direction"] > 0.5 else -1.0
    along = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    ramp = side * math.sin(angle) * along[None, :] - math.cos(angle) * along[:, None]
    brightness = _within(how.light, u["light"]) * (1 + gradient * ramp)
    warmth = 0.12 * _within(how.warmth, u["warmth"])
    tint = np.array((1 + warmth, 1.0, 1 - warmth), dtype=np.float32)
    lit = picture * (brightness[:, :, None] * tint)
    level = _within(how.noise, u["noise"])
    if level > 0:
        top = int(u["noise_at"] * (_NOISE_SIDE - size))
        left = int(u["noise_at"] * 7919) % (_NOISE_SIDE - size + 1)
        lit += np.float32(level) * _noise()[top : top + size, left : left + size]
    if how.grey:
        lit = np.repeat(lit @ np.array((0.299, 0.587, 0.114), np.float32)[:, None], 3, axis=2)
    finished: Pixels = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    return finished


@cache
def _noise() -> NDArray[np.float32]:
    """Nearly normal noise of unit variance, the same on every machine."""
    names = [f"{colour} {number}" for colour in "rgb" for number in range(4)]
    draws = uniform(0, np.arange(_NOISE_SIDE**2), names).reshape(_NOISE_SIDE, _NOISE_SIDE, 3, 4)
    normal: NDArray[np.float32] = ((draws.sum(axis=-1) - 2) * math.sqrt(3)).astype(np.float32)
    return normal
