"""JAFFE: ten Japanese women, posed expressions, frontal, grey, 256 × 256 pixels.

Features: the person shown (``subject``); gender, which is female throughout. Classes: neutral,
happy, sad, surprise, fear, disgust, anger; 213 images, two to four of each person and
expression. Splits: none are published; every row is ``train``, and validation and test sets are
drawn from these by subject.

Citation: Lyons, Akamatsu, Kamachi, Gyoba, "Coding Facial Expressions with Gabor Wavelets",
IEEE International Conference on Automatic Face and Gesture Recognition, 1998.
"""

from __future__ import annotations

import os

import pandas as pd

from fer_lab.data.manifest import Assets
from fer_lab.data.sources.layout import find_root, kept_rows, refuse_codes
from fer_lab.data.sources.named_images import named_images
from fer_lab.data.vocabulary import GENDERS, UNKNOWN

NAME = "jaffe"
TITLE = "JAFFE"

EXPRESSION_CODES = {
    "NE": "neutral",
    "HA": "happy",
    "SA": "sad",
    "SU": "surprise",
    "FE": "fear",
    "DI": "disgust",
    "AN": "anger",
}
EXPECTED = "images such as KA.AN1.39.tiff (person, expression and its number, number of the image)"

# The person, the expression and which one of this person it is, the image's number.
_PATTERN = r"(?P<subject>[A-Z]{2})\.(?P<code>[A-Z]{2})[0-9]+\.[0-9]+"


def read(root: str | os.PathLike[str] | None) -> pd.DataFrame:
    """Read JAFFE: the images below a folder, by their names.

    Features: subject, gender. Classes: seven, without contempt. Splits: all ``train``, to be
    drawn by subject. Citation: Lyons et al. 1998 (in full above).

    Images with a name of another form, and second copies, are set aside and counted in
    ``Assets.dropped``.

    Args:
        root: folder of the images, which may lie in folders of their own.

    Raises:
        DataError: for a missing folder, an unknown code for an expression, or when no image of
            JAFFE is there.
    """
    folder = find_root(root, TITLE, EXPECTED)
    table = named_images(folder, _PATTERN)
    named = table["code"][table["reason"] == ""]
    refuse_codes(named, EXPRESSION_CODES, name="an expression", place=f"{folder}{os.sep}")
    kept, dropped = kept_rows(table, TITLE, folder, EXPECTED)
    frame = pd.DataFrame(
        {
            "id": f"{NAME}/" + kept["name"],
            "dataset": pd.Categorical([NAME] * len(kept)),
            "path": f"{folder}{os.sep}" + kept["image"],
            "label": kept["code"].map(EXPRESSION_CODES),
            "split": "train",
            "subject": kept["subject"],
            "gender": pd.Categorical(["female"] * len(kept), [*GENDERS, UNKNOWN]),
            "gender_source": "annotated",
        }
    )
    frame.attrs["assets"] = Assets(dropped=dropped, roots={NAME: str(folder)})
    return frame
