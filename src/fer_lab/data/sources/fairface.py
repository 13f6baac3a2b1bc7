"""FairFace: photographs from the web, balanced over seven races.

Features: nine age groups, gender, seven races, and whether an image is in the balanced service
test. Classes: none of expression; a model learns ``target=race``, ``gender`` or ``age``. Splits:
training (86,744) and validation (10,954), which is the test set here, since no public one exists.

Citation: Kärkkäinen, Joo, "FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age
for Bias Measurement and Mitigation", WACV 2021.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from fer_lab.data.assets import Assets
from fer_lab.data.sources.layout import (
    find_root,
    kept_rows,
    normal_paths,
    not_its_layout,
    refuse_codes,
    set_aside,
    set_aside_missing,
    set_aside_repeated,
    unsafe_paths,
)
from fer_lab.data.sources.lists import read_list
from fer_lab.data.vocabulary import UNKNOWN

NAME = "fairface"
TITLE = "FairFace"

# The labels say "more than 70", the published predictions "70+".
AGE_CODES = {
    **{age: age for age in ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69")},
    "more than 70": "70+",
    "70+": "70+",
}
GENDER_CODES = {"Female": "female", "Male": "male"}
RACE_CODES = {
    "White": "white",
    "Black": "black",
    "Latino_Hispanic": "latino_hispanic",
    "East Asian": "east_asian",
    "Southeast Asian": "southeast_asian",
    "Indian": "indian",
    "Middle Eastern": "middle_eastern",
}
SERVICE_TEST_CODES = {"False": "no", "True": "yes"}
CODES = {"age": AGE_CODES, "gender": GENDER_CODES, "race": RACE_CODES}

LISTS = {"fairface_label_val.csv": "test", "fairface_label_train.csv": "train"}
EXPECTED = "fairface_label_train.csv and fairface_label_val.csv, with the images train/ and val/"


def read(root: str | os.PathLike[str] | None) -> pd.DataFrame:
    """Read FairFace, either margin.

    Images without a file or with a path that leaves the folder are set aside and counted in
    ``Assets.dropped``; an empty cell is ``unknown``. ``label`` is ``unknown``.

    Args:
        root: folder of the release (``EXPECTED`` says what is in it); the images may lie in one
            folder below it.

    Returns:
        The manifest: validation is ``test``.

    Raises:
        DataError: for a missing folder or list, a list without its columns, an unknown age,
            gender or race, or when no image is left.
    """
    folder = find_root(root, TITLE, EXPECTED)
    missing = [name for name in LISTS if not (folder / name).is_file()]
    if missing:
        raise not_its_layout(TITLE, missing, folder, EXPECTED)
    table = pd.concat(
        [
            _read_part(part, folder / name, split)
            for name, split in LISTS.items()
            for part in read_list(folder / name, ["file", *CODES], optional=["service_test"])
        ],
        ignore_index=True,
    )
    set_aside_repeated(table, ["image"])
    images = _images(folder)
    set_aside_missing(table, images)
    kept, dropped = kept_rows(table, TITLE, f"images below {images}", EXPECTED)
    columns = {
        "id": f"{NAME}/" + kept["image"],
        "dataset": pd.Categorical([NAME] * len(kept)),
        "path": f"{images}{os.sep}" + kept["image"],
        "label": UNKNOWN,
        "split": kept["split"],
    }
    for name, codes in CODES.items():
        groups = [*dict.fromkeys(codes.values()), UNKNOWN]
        columns[name] = pd.Categorical(kept[name], categories=groups)
        columns[f"{name}_source"] = "annotated"
    if "service_test" in kept:
        groups = [*SERVICE_TEST_CODES.values(), UNKNOWN]
        service = kept["service_test"].fillna(UNKNOWN)
        columns["attribute_service_test"] = pd.Categorical(service, categories=groups)
    frame = pd.DataFrame(columns)
    frame.attrs["assets"] = Assets(dropped=dropped, roots={NAME: str(folder)})
    return frame


def _read_part(part: pd.DataFrame, path: Path, split: str) -> pd.DataFrame:
    """Some lines of a list, checked, with our names for its codes."""
    table = pd.DataFrame({"image": normal_paths(part["file"]), "split": split, "reason": ""})
    for name, codes in {**CODES, "service_test": SERVICE_TEST_CODES}.items():
        if name in part:
            cells = part[name].str.strip()
            refuse_codes(cells[cells != ""], codes, name=f"{name}", place=f"{path}, line ")
            table[name] = cells.map(codes).fillna(UNKNOWN)
    set_aside(table, unsafe_paths(table["image"]), "path outside the folder of images")
    return table


def _images(folder: Path) -> Path:
    """The folder that holds ``train`` and ``val``: this one, or one in it named after a margin."""
    below = sorted(path for path in folder.glob("fairface-img-margin*") if path.is_dir())
    candidates = [folder, *below]
    return next((path for path in candidates if (path / "train").is_dir()), folder)
