"""CelebA: photographs of celebrities with 40 attributes, aligned.

Features: 40 attributes with values no and yes (``attribute_smiling`` …), gender from ``Male``,
identities where ``identity_CelebA.txt`` is there. Classes: none of expression; a model learns an
attribute by name (``target=smiling``). Splits: the published partition by identity, 162,770
training, 19,867 validation and 19,962 test images.

Citation: Liu, Luo, Wang, Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
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
from fer_lab.data.sources.lists import read_words
from fer_lab.data.vocabulary import GENDERS, UNKNOWN
from fer_lab.errors import DataError

NAME = "celeba"
TITLE = "CelebA"

ATTRIBUTE_CODES = {"-1": "no", "1": "yes"}
GENDER_OF_MALE = {"no": "female", "yes": "male"}
PARTITION_CODES = {"0": "train", "1": "val", "2": "test"}

ATTRIBUTES = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
IDENTITIES = "identity_CelebA.txt"
IMAGES = "img_align_celeba"
EXPECTED = f"{ATTRIBUTES}, {PARTITION} and the folder {IMAGES}/"

# Where the lists and images lie in the download and in copies of it.
_PLACES = ("", "Anno", "Eval", "Img")

_log = logging.getLogger(__name__)


def read(
    root: str | os.PathLike[str] | None, *, exclude: str | os.PathLike[str] | None = None
) -> pd.DataFrame:
    """Read CelebA's aligned images.

    Images without an attribute or partition line, without a file, with a malformed line or a
    path that leaves the folder are set aside and counted in ``Assets.dropped``. ``label`` is
    ``unknown``.

    Args:
        root: folder of the release (``EXPECTED`` says what is in it).
        exclude: CelebAMask-HQ's ``CelebA-HQ-to-CelebA-mapping.txt``; the images it names are
            left out, so that a model can be examined on CelebAMask-HQ afterwards.

    Returns:
        The manifest.

    Raises:
        DataError: for a missing folder or list, an unknown code, or when no image is left.
    """
    folder = find_root(root, TITLE, EXPECTED)
    lists = {name: find_in(folder, name) for name in (ATTRIBUTES, PARTITION, IMAGES)}
    missing = [name for name, path in lists.items() if path is None]
    if missing:
        raise not_its_layout(TITLE, missing, folder, EXPECTED)
    images = lists[IMAGES] or folder / IMAGES
    table = read_annotations(folder)
    set_aside(table, (table["split"] == "").to_numpy(), "no partition")
    if exclude is not None:
        mapped = read_mapping(Path(exclude).expanduser())["file"]
        listed = table["image"].isin(mapped).to_numpy()
        set_aside(table, listed, "image of CelebAMask-HQ")
    set_aside_missing(table, images)
    kept, dropped = kept_rows(table, TITLE, f"images below {images}", EXPECTED)
    frame = pd.DataFrame(
        {
            "id": f"{NAME}/" + kept["image"],
            "dataset": pd.Categorical([NAME] * len(kept)),
            "path": f"{images}{os.sep}" + kept["image"],
            "label": UNKNOWN,
            **dict(kept.drop(columns="image").items()),
        }
    )
    frame.attrs["assets"] = Assets(dropped=dropped, roots={NAME: str(folder)})
    return frame


def find_in(folder: Path, name: str) -> Path | None:
    """A list or folder at one of the places where copies of CelebA have it."""
    paths = (folder / place / name for place in _PLACES)
    return next((path for path in paths if path.exists()), None)


def read_annotations(folder: Path) -> pd.DataFrame:
    """What CelebA's lists say, one row an image.

    Returns:
        ``image``, ``split`` (empty where no partition names the image), the columns of
        :func:`read_attributes`, ``subject`` where identities are known, and the ``reason`` to
        set a row aside or the empty text.

    Raises:
        DataError: for a list that cannot be read or has an unknown code.
    """
    table = read_attributes(find_in(folder, ATTRIBUTES) or folder / ATTRIBUTES)
    listed = find_in(folder, PARTITION) or folder / PARTITION
    partition = _read_pairs(listed, "code")
    partition = partition[partition["code"] != ""]
    refuse_codes(partition["code"], PARTITION_CODES, name="a partition", place=f"{listed}, line ")
    splits = partition.set_index("image")["code"].map(PARTITION_CODES)
    table["split"] = table["image"].map(splits).fillna("")
    identities = find_in(folder, IDENTITIES)
    if identities is not None:
        pairs = _read_pairs(identities, "subject").set_index("image")["subject"]
        table["subject"] = table["image"].map(pairs)
    return table


def read_attributes(path: Path) -> pd.DataFrame:
    """Read a list of attributes: a count, a line of names, then a file name and ±1 a line.

    Returns:
        ``image``, ``attribute_<name>`` in lower case, ``gender``, ``gender_source`` and
        ``reason``.

    Raises:
        DataError: for a list without its two first lines, or a value that is not ±1.
    """
    count, names = _attribute_names(path)
    words = read_words(path, ["image", *names])
    words = words[words.index > 2]
    if len(words) != count:
        _log.warning("not whole? %s says it has %s lines and has %s", path, count, len(words))
    columns: dict[str, pd.Series | pd.Categorical[Any]] = {
        "image": normal_paths(words["image"]),
        "reason": pd.Series("", words.index, dtype="str"),
    }
    values = words[list(names)]
    short = (values.iloc[:, -1] == "").to_numpy()
    groups = pd.Index([*ATTRIBUTE_CODES.values(), UNKNOWN])
    for name in names:
        codes = pd.Categorical(values[name], categories=list(ATTRIBUTE_CODES)).codes
        if (codes[~short] < 0).any():
            refuse_codes(values[name][~short], ATTRIBUTE_CODES, name=name, place=f"{path}, line ")
        known = np.where(codes < 0, len(ATTRIBUTE_CODES), codes)
        columns[f"attribute_{name.lower()}"] = pd.Categorical.from_codes(known, groups)
    table = pd.DataFrame(columns)
    if "attribute_male" in table:
        male = table["attribute_male"].astype("str").map(GENDER_OF_MALE)
        table["gender"] = _named(male, GENDERS)
        table["gender_source"] = "annotated"
    set_aside(table, unsafe_paths(table["image"]), "path outside the folder of images")
    set_aside(table, short, "malformed row")
    set_aside_repeated(table, ["image"])
    return table.reset_index(drop=True)


def read_mapping(path: Path) -> pd.DataFrame:
    """Read CelebAMask-HQ's ``CelebA-HQ-to-CelebA-mapping.txt``.

    Returns:
        ``number`` of an image of CelebAMask-HQ as text and ``file``, its name in CelebA.

    Raises:
        DataError: for a file without the layout's three columns.
    """
    words = read_words(path, ["idx", "orig_idx", "orig_file"])
    if words.empty or words.iloc[0].tolist() != ["idx", "orig_idx", "orig_file"]:
        raise DataError(
            f"{path.name} does not begin with idx, orig_idx and orig_file",
            where=f"{path}, line 1",
            hint="it comes with CelebAMask-HQ: CelebA-HQ-to-CelebA-mapping.txt",
        )
    words = words.iloc[1:]
    wrong = ~words["idx"].str.fullmatch(r"\d+") | (words["orig_file"] == "")
    if wrong.any():
        raise DataError(
            f"{words['idx'][wrong].iloc[0]!r} is no number of an image with its file",
            where=f"{path}, line {words.index[wrong][0]}",
        )
    return pd.DataFrame({"number": words["idx"], "file": normal_paths(words["orig_file"])})


def _attribute_names(path: Path) -> tuple[int, Sequence[str]]:
    """The count in the first line, and the names in the second."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            count, names = file.readline().strip(), file.readline().split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} cannot be read: {error}", where=path) from error
    if not count.isdecimal() or not names or len(set(names)) < len(names):
        raise DataError(
            f"{path.name} does not begin with a count and a line of names",
            where=f"{path}, lines 1 and 2",
            hint="the layout: a count, then the attributes' names, then `000001.jpg -1 1 …`",
        )
    return int(count), names


def _read_pairs(path: Path, name: str) -> pd.DataFrame:
    """A list of a file name and one word, the first line of an image where it has several."""
    words = read_words(path, ["image", name])
    words["image"] = normal_paths(words["image"])
    return words.drop_duplicates("image")


def _named(values: pd.Series, groups: Sequence[str]) -> pd.Categorical:
    return pd.Categorical(values.fillna(UNKNOWN), categories=[*groups, UNKNOWN])
