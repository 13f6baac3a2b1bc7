"""The names of everything: expressions and their ranks, demographics, face regions, landmarks.

The only place where they are spelt; every source maps its own codes to these by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from fer_lab.errors import ConfigError

UNKNOWN = "unknown"

EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")

GENDERS = ("female", "male")

# The studies' groups; a source with other bins keeps its own codes.
AGE_GROUPS = ("0-15", "16-32", "33-53", "54+")

RACES = ("white", "black", "asian", "indian", "latinx", "middle_eastern")

# The intensity study's: how strong an expression is, weakest first.
INTENSITY_RANKS = ("minimal", "average", "strong")

# CelebAMask-HQ's names. Left and right are those of the image, not of the person. The order is
# ours: masks of other origin are mapped by name, since three orders are in circulation.
REGIONS = (
    "background",
    "skin",
    "nose",
    "eye_g",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
    "mouth",
    "u_lip",
    "l_lip",
    "hair",
    "hat",
    "ear_r",
    "neck_l",
    "neck",
    "cloth",
)

REGION_TITLES = {
    "background": "background",
    "skin": "skin",
    "nose": "nose",
    "eye_g": "glasses",
    "l_eye": "left eye",
    "r_eye": "right eye",
    "l_brow": "left brow",
    "r_brow": "right brow",
    "l_ear": "left ear",
    "r_ear": "right ear",
    "mouth": "mouth (inside)",
    "u_lip": "upper lip",
    "l_lip": "lower lip",
    "hair": "hair",
    "hat": "hat",
    "ear_r": "earrings",
    "neck_l": "necklace",
    "neck": "neck",
    "cloth": "cloth",
}

# Region and landmark indices after the image is mirrored: ``mirrored = flip[original]``.
_MIRRORED = {"l_eye": "r_eye", "l_brow": "r_brow", "l_ear": "r_ear"}
_MIRRORED |= {right: left for left, right in _MIRRORED.items()}
REGION_FLIP = tuple(REGIONS.index(_MIRRORED.get(name, name)) for name in REGIONS)

# The common 68-point order: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, lips 48-67.
# ``points[LANDMARK_FLIP]`` of the mirrored x coordinates is again in that order.
LANDMARK_FLIP = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
)


def expression_classes(classes: int | Sequence[str] = 7) -> tuple[str, ...]:
    """The expressions to tell apart, as names in vocabulary order.

    Args:
        classes: 6 (no neutral, no contempt), 7 (no contempt), 8, or names.

    Raises:
        ConfigError: for another number, a name not in the vocabulary, or fewer than two names.

    >>> expression_classes(6)
    ('happy', 'sad', 'surprise', 'fear', 'disgust', 'anger')
    """
    if isinstance(classes, int):
        presets = {6: EXPRESSIONS[1:7], 7: EXPRESSIONS[:7], 8: EXPRESSIONS}
        if classes not in presets:
            raise ConfigError(
                f"classes={classes} is not a set of expressions",
                where="classes",
                hint="use 6, 7, 8 or a list of names such as [happy,sad]",
            )
        return presets[classes]
    unknown = [name for name in classes if name not in EXPRESSIONS]
    if unknown or len(set(classes)) < 2:
        raise ConfigError(
            f"not expressions: {', '.join(unknown)}" if unknown else "fewer than two classes",
            where="classes",
            hint=f"choose at least two of {', '.join(EXPRESSIONS)}",
        )
    return tuple(name for name in EXPRESSIONS if name in classes)
