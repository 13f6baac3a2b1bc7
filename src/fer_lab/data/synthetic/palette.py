"""Colours of skin, hair, eyes, lips, clothes and backgrounds, as RGB in 0-255.

What shows an expression is painted at a distance from the skin that makes it as readable on
every tone; the darkest leaves room below itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass

from fer_lab.data.synthetic.anatomy import Face, Traits

Colour = tuple[int, int, int]

# Light to dark, evenly spaced on the scale of Traits.tone.
_SKIN: Sequence[Colour] = (
    (240, 206, 182),
    (234, 194, 164),
    (222, 176, 142),
    (206, 155, 116),
    (188, 134, 95),
    (164, 111, 77),
    (144, 96, 68),
    (126, 83, 61),
)
_HAIR: Mapping[str, Colour] = {
    "black": (38, 32, 32),
    "dark": (62, 44, 36),
    "brown": (98, 66, 46),
    "light": (136, 96, 64),
    "red": (156, 78, 44),
}
_HAIR_WEIGHTS: Mapping[str, Sequence[float]] = {
    "white": (1, 3, 4, 3, 1),
    "black": (8, 2, 0.3, 0, 0),
    "asian": (7, 3, 0.5, 0, 0),
    "indian": (7, 3, 0.3, 0, 0),
    "latinx": (4, 4, 2, 0.4, 0),
    "middle_eastern": (5, 4, 1, 0.2, 0),
}
_BLOND: Sequence[Colour] = ((206, 164, 96), (226, 190, 122), (236, 208, 150))
_GREY: Colour = (196, 192, 190)
_IRIS: Sequence[Colour] = ((74, 46, 30), (96, 62, 38), (124, 88, 48), (92, 118, 84), (84, 124, 158))
_LIPSTICK: Sequence[Colour] = ((178, 26, 48), (206, 44, 84), (150, 24, 60), (214, 72, 62))
_FRAMES: Sequence[Colour] = ((34, 32, 36), (86, 50, 30), (30, 46, 86), (120, 28, 40), (66, 66, 72))
_SHINE: Colour = (255, 244, 240)
_METAL: Sequence[Colour] = ((226, 184, 74), (208, 212, 220), (232, 226, 214), (60, 152, 158))
_OPENING = (116, 30, 36)
_TONGUE = (200, 92, 94)
_DARK: Colour = (44, 26, 24)
_HATS: Sequence[Colour] = (
    (178, 52, 56),
    (40, 66, 116),
    (62, 104, 80),
    (206, 160, 70),
    (84, 84, 92),
)

# How far below the skin's luminance each is, on the lightest and on the darkest tone. The two
# differ because teeth, the whites of the eyes and shading stand out more on dark skin: together
# an expression changes the picture as much on every tone, which test_readability.py holds fast.
_BELOW_SKIN: Mapping[str, tuple[float, float]] = {
    "brow": (90, 80),
    "lash": (105, 80),
    "lid": (48, 12),
    "lid_line": (62, 44),
    "nostril": (60, 60),
    "upper_lip": (51, 36),
    "lower_lip": (35, 20),
    "lipstick": (46, 16),
    "lip_line": (98, 84),
    "line": (51, 42),
    "opening": (140, 77),
    "tongue": (85, 38),
}
_WHITES = (1.0, 0.81)  # brightness of teeth and eyes on the same two


@dataclass(frozen=True)
class Palette:
    """The colours of one face."""

    skin: Colour
    line: Colour
    ear: Colour
    neck: Colour
    hair: Colour
    hair_light: Colour
    hair_dark: Colour
    brow: Colour
    beard: Colour
    lash: Colour
    lid: Colour
    lid_line: Colour
    sclera: Colour
    iris: Colour
    nostril: Colour
    lip_upper: Colour
    lip_lower: Colour
    lip_shine: Colour
    lip_line: Colour
    opening: Colour
    tongue: Colour
    teeth: Colour
    frame: Colour
    hat: Colour
    hat_band: Colour
    earring: Colour
    necklace: Colour
    cloth: Colour
    background: Colour


def palette(face: Face, t: Traits) -> Palette:
    """All colours of a face from its traits and draws."""
    u = face.draws
    skin = _along(_SKIN, t.tone)
    skin = mix(skin, (255, 206, 150), 0.06 * u["undertone"])
    below = {name: _between(ends, t.tone) for name, ends in _BELOW_SKIN.items()}
    whites = _between(_WHITES, t.tone)
    rose = mix(skin, (196, 62, 76), 0.4 - 0.06 * t.male)
    deep = 0.0
    if face.lipstick:
        rose, deep = _pick(_LIPSTICK, u["lipstick_colour"]), below["lipstick"]
    upper = darker(rose, skin, below["upper_lip"] + deep)
    lower = darker(mix(rose, (255, 140, 145), 0.14), skin, below["lower_lip"] + deep)
    hair = _hair(face, t)
    brow = mix(hair, (30, 22, 18), 0.35 + 0.3 * t.tone)
    browns = 2.0 if t.tone > 0.45 else 3.2 if face.race != "white" else 4.99
    hat = _pick(_HATS, u["hat_colour"])
    return Palette(
        skin=skin,
        line=darker(skin, skin, below["line"]),
        ear=darker(skin, skin, 11),
        neck=darker(skin, skin, 12),
        hair=hair,
        hair_light=mix(hair, (255, 236, 210), 0.18),
        hair_dark=scaled(hair, 0.72),
        # Beards cover some of what a man's mouth shows.
        brow=darker(brow, skin, below["brow"] * (1 + 0.05 * t.male)),
        lash=darker(mix(brow, (24, 18, 18), 0.65), skin, below["lash"]),
        lid=darker(mix(skin, (150, 70, 70), 0.08), skin, below["lid"]),
        lid_line=darker(skin, skin, below["lid_line"]),
        sclera=scaled((248, 245, 242), whites),
        beard=darker(scaled(hair, 0.9), skin, 30 + 42 * u["beard_shape"]),
        iris=_IRIS[int(u["eye_colour"] * browns)],
        nostril=darker(_DARK, skin, below["nostril"]),
        lip_upper=upper,
        lip_lower=lower,
        lip_shine=lighter(lower, 24 + 8 * face.lipstick),
        lip_line=darker(mix(rose, _DARK, 0.6), skin, below["lip_line"]),
        opening=darker(_OPENING, skin, below["opening"]),
        tongue=darker(_TONGUE, skin, below["tongue"]),
        teeth=scaled((250, 247, 241), whites),
        frame=_pick(_FRAMES, u["glasses_colour"]),
        hat=hat,
        hat_band=scaled(hat, 0.78),
        earring=_pick(_METAL, u["earrings_colour"]),
        necklace=_pick(_METAL, u["necklace_colour"]),
        cloth=_hue(u["cloth_colour"], 0.25 + 0.3 * u["cloth_shade"], 0.4 + 0.45 * u["cloth_shade"]),
        background=_hue(
            u["background_hue"], 0.06 + 0.22 * u["background_value"], 0.92 - 0.5 * u["background"]
        ),
    )


def _hair(face: Face, t: Traits) -> Colour:
    u = face.draws
    if face.blond:
        colour = _along(_BLOND, u["hair_shade"])
    else:
        weights = _HAIR_WEIGHTS[face.race]
        left, colour = u["hair_colour"] * sum(weights), _HAIR["dark"]
        for candidate, weight in zip(_HAIR.values(), weights, strict=True):
            left -= weight
            if left < 0:
                colour = candidate
                break
        colour = scaled(colour, 0.88 + 0.24 * u["hair_shade"])
    grey = min(max(1.5 * t.elder - 0.9 * u["hair_length"] + 0.15, 0.0), 0.92) * (t.elder > 0.1)
    return mix(colour, _GREY, grey * (0.35 if face.blond else 1.0))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``share`` of the second colour in the first."""
    kept = 1 - share
    return (
        int(first[0] * kept + second[0] * share),
        int(first[1] * kept + second[1] * share),
        int(first[2] * kept + second[2] * share),
    )


def scaled(colour: Colour, factor: float) -> Colour:
    """The colour made darker or lighter."""
    red, green, blue = (min(255, int(value * factor)) for value in colour)
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Brightness in 0-255 (ITU-R BT.601)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def darker(colour: Colour, skin: Colour, by: float) -> Colour:
    """The colour scaled down, or mixed with the skin, to a luminance ``by`` below the skin's."""
    own, ground = luminance(colour), luminance(skin)
    wanted = max(ground - by, 0.0)
    if own >= wanted:
        return scaled(colour, wanted / own)
    return mix(colour, skin, (wanted - own) / (ground - own))


def lighter(colour: Colour, by: float) -> Colour:
    """The colour mixed with a warm white, to a luminance ``by`` above its own."""
    return mix(colour, _SHINE, min(by / (luminance(_SHINE) - luminance(colour)), 1.0))


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * share


def _along(scale: Sequence[Colour], position: float) -> Colour:
    place = min(max(position, 0.0), 1.0) * (len(scale) - 1)
    low = min(int(place), len(scale) - 2)
    return mix(scale[low], scale[low + 1], place - low)


def _pick(colours: Sequence[Colour], u: float) -> Colour:
    return colours[int(u * len(colours))]


def _hue(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = hsv_to_rgb(hue, saturation, value)
    return int(255 * red), int(255 * green), int(255 * blue)
