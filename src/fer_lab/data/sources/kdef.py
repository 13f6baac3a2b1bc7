"""KDEF, the Karolinska Directed Emotional Faces: 35 women and 35 men, each from five angles.

Features: the person shown (``subject``: sex and number, ``F01``), gender, the camera's angle
(attribute ``angle``); every expression was photographed in two sessions (A and B). Classes:
neutral, happy, sad, surprise, fear, disgust, anger; 4,900 colour images of 562 × 762 pixels.
Splits: none are published; every row is ``train``, and validation and test sets are drawn from
these by subject.

Citation: Lundqvist, Flykt, Öhman, "The Karolinska Directed Emotional Faces (KDEF)", CD ROM from
Department of Clinical Neuroscience, Psychology section, Karolinska Institutet, 1998.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd

from fer_lab.data.manifest import Assets
from fer_lab.data.sources.layout import find_root, kept_rows, refuse_codes
from fer_lab.data.sources.named_images import named_images
from fer_lab.data.vocabulary import GENDERS, UNKNOWN
from fer_lab.errors import ConfigError, near_miss

NAME = "kdef"
TITLE = "KDEF"

EXPRESSION_CODES = {
    "NE": "neutral",
    "HA": "happy",
    "SA": "sad",
    "SU": "surprise",
    "AF": "fear",
    "DI": "disgust",
    "AN": "anger",
}
GENDER_CODES = {"F": "female", "M": "male"}
ANGLE_CODES = {
    "S": "straight",
    "HL": "half_left",
    "HR": "half_right",
    "FL": "full_left",
    "FR": "full_right",
}
EXPECTED = (
    "images such as AF01ANS.JPG or AF01/AF01ANS.JPG (session A or B, sex F or M, person,"
    " expression, angle)"
)

# Session, sex and number of the person, expression, angle.
_PATTERN = (
    r"[AB](?P<subject>(?P<sex>[FM])[0-9]{2})(?P<code>[A-Z]{2})"
    rf"(?P<angle>{'|'.join(ANGLE_CODES)})"
)


def read(
    root: str | os.PathLike[str] | None, *, angles: Sequence[str] | str | None = None
) -> pd.DataFrame:
    """Read KDEF: the images below a folder, by their names.

    Features: subject, gender, attribute ``angle``. Classes: seven, without contempt. Splits: all
    ``train``, to be drawn by subject. Citation: Lundqvist et al. 1998 (in full above).

    Images with a name of another form, second copies, and those of other angles are set aside
    and counted in ``Assets.dropped``.

    Args:
        root: folder of the images, which may lie in a folder for each person.
        angles: those wanted, of straight, half_left, half_right, full_left and full_right; None
            takes all.

    Raises:
        DataError: for a missing folder, an unknown code for an expression, or when no image of
            KDEF is there.
        ConfigError: for an angle that there is not.
    """
    wanted = _angles(angles)
    folder = find_root(root, TITLE, EXPECTED)
    table = named_images(folder, _PATTERN)
    named = table["code"][table["reason"] == ""]
    refuse_codes(named, EXPRESSION_CODES, name="an expression", place=f"{folder}{os.sep}")
    angle = table["angle"].map(ANGLE_CODES)
    unwanted = (table["reason"] == "") & ~angle.isin(wanted)
    table["reason"] = table["reason"].mask(unwanted, "angle " + angle)
    kept, dropped = kept_rows(table, TITLE, folder, EXPECTED)
    frame = pd.DataFrame(
        {
            "id": f"{NAME}/" + kept["name"],
            "dataset": pd.Categorical([NAME] * len(kept)),
            "path": f"{folder}{os.sep}" + kept["image"],
            "label": kept["code"].map(EXPRESSION_CODES),
            "split": "train",
            "subject": kept["subject"],
            "gender": pd.Categorical(kept["sex"].map(GENDER_CODES), [*GENDERS, UNKNOWN]),
            "gender_source": "annotated",
            "attribute_angle": pd.Categorical(kept["angle"].map(ANGLE_CODES), wanted),
        }
    )
    frame.attrs["assets"] = Assets(dropped=dropped, roots={NAME: str(folder)})
    return frame


def _angles(angles: Sequence[str] | str | None) -> list[str]:
    """The angles wanted, in the order of ``ANGLE_CODES``."""
    known = list(ANGLE_CODES.values())
    if angles is None:
        return known
    listed = [angles] if isinstance(angles, str) else list(angles)
    unknown = [name for name in listed if name not in known]
    if unknown or not listed:
        near = near_miss(unknown[0], known) if unknown else None
        raise ConfigError(
            f"KDEF has no angle {unknown[0]!r}" if unknown else "no angle of KDEF is wanted",
            where="dataset.sources.kdef.angles",
            hint=(f"did you mean {near!r}? " if near else "") + f"angles: {', '.join(known)}",
        )
    return [name for name in known if name in listed]
