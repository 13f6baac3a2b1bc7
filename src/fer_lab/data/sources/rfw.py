"""RFW, Racial Faces in the Wild: photographs of celebrities of four groups.

Features: race as African, Asian, Caucasian and Indian, identities. The five landmarks of the lists
are not the 68 used here; a list only says which images there should be. Classes: none of
expression. Splits: everything (40,607 images of 11,430 identities) is the test set of a model that
learns elsewhere, from FairFace for example: merged with it, with a table in ``data.harmonise`` that
leads its seven races into these four (the guide: ``docs/splits.md``), or evaluated afterwards.

Citation: Wang, Deng, Hu, Tao, Huang, "Racial Faces in the Wild: Reducing Racial Bias by
Information Maximization Adaptation Network", ICCV 2019.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path

import pandas as pd

from fer_lab.data.assets import Assets
from fer_lab.data.sources.folders import class_folders
from fer_lab.data.sources.layout import (
    find_root,
    kept_rows,
    normal_paths,
    not_its_layout,
    unsafe_paths,
)
from fer_lab.data.sources.lists import read_words
from fer_lab.data.vocabulary import UNKNOWN

NAME = "rfw"
TITLE = "RFW"

RACE_CODES = {
    "African": "african",
    "Asian": "asian",
    "Caucasian": "caucasian",
    "Indian": "indian",
}
EXPECTED = (
    "test/data/{African,Asian,Caucasian,Indian}/<id>/<id>_0001.jpg, and, if there are any,"
    " the lists test/txts/<race>/<race>_lmk.txt"
)

_log = logging.getLogger(__name__)

# The path, a number, and x and y of five points.
_WORDS = ("path", "number", *(f"{axis}{point}" for point in range(1, 6) for axis in "xy"))


def read(root: str | os.PathLike[str] | None) -> pd.DataFrame:
    """Read RFW's aligned or original test images.

    Images that a list names and no folder has, and malformed lines of a list, are counted in
    ``Assets.dropped``. ``label`` is ``unknown``.

    Args:
        root: folder of the release (``EXPECTED`` says what is in it), or its folder ``test``.

    Returns:
        The manifest, all of it ``test``.

    Raises:
        DataError: for a missing folder, or when there is no image.
    """
    folder = find_root(root, TITLE, EXPECTED)
    test = folder / "test" if (folder / "test").is_dir() else folder
    missing = [f"data/{race}" for race in RACE_CODES if not (test / "data" / race).is_dir()]
    if missing:
        raise not_its_layout(TITLE, missing, test, EXPECTED)
    table = class_folders(test / "data", dict.fromkeys(RACE_CODES, "test")).assign(reason="")
    table, _ = kept_rows(table, TITLE, test / "data", EXPECTED)
    dropped: Counter[str] = Counter()
    for race in RACE_CODES:
        path = test / "txts" / race / f"{race}_lmk.txt"
        if path.is_file():
            dropped += _absent(path, table["image"])
    race_folders = table["image"].str.replace(r"/.*$", "", regex=True)
    frame = pd.DataFrame(
        {
            "id": f"{NAME}/" + table["image"],
            "dataset": pd.Categorical([NAME] * len(table)),
            "path": f"{test / 'data'}{os.sep}" + table["image"],
            "label": UNKNOWN,
            "split": table["split"],
            "subject": table["folder"],
            "race": pd.Categorical(
                race_folders.map(RACE_CODES), categories=[*RACE_CODES.values(), UNKNOWN]
            ),
            "race_source": "annotated",
        }
    )
    frame.attrs["assets"] = Assets(dropped=dropped, roots={NAME: str(folder)})
    return frame


def _absent(path: Path, images: pd.Series) -> Counter[str]:
    """How many lines of a list are of no image; its paths begin where the list was made."""
    words = read_words(path, _WORDS)
    malformed = words["y5"] == ""
    for line in words.index[malformed][:3]:
        _log.warning("a line without five landmarks is set aside: %s, line %s", path, line)
    paths = normal_paths(words["path"][~malformed])
    # The release's paths are absolute: only what follows the race's folder is used.
    below = path.parent.name + "/" + paths.str.extract(r"([^/]*/[^/]*)$")[0].fillna("")
    unsafe = unsafe_paths(below)
    return +Counter(
        {
            "malformed row": int(malformed.sum()),
            "path outside the folder of images": int(unsafe.sum()),
            "image missing": int((~below.isin(images) & ~unsafe).sum()),
        }
    )
