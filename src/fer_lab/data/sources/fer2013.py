"""FER2013: grey faces of 48 × 48 pixels from the web, with the labels of FER+ where wanted.

Features: nothing beside the label; FER+ adds the votes of ten people as ``soft_label``. Classes:
anger, disgust, fear, happy, sad, surprise, neutral; FER+ has contempt too. Splits: training
(28,709 faces), public test, which is the validation set (3,589), and private test (3,589); the
form in folders has training and test only.

Citations: Goodfellow et al., "Challenges in Representation Learning: A Report on Three Machine
Learning Contests", Neural Networks, 2015; Barsoum, Zhang, Canton Ferrer, Zhang, "Training Deep
Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution", ICMI 2016.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import Assets
from fer_lab.data.sources.folders import class_folders
from fer_lab.data.sources.layout import (
    find_root,
    kept_rows,
    known_codes,
    not_its_layout,
    numbers,
    refuse_codes,
    set_aside,
)
from fer_lab.data.sources.lists import read_list
from fer_lab.data.sources.own import EXPRESSION_WORDS
from fer_lab.data.sources.pixel_csv import WRONG_PIXELS, read_pixel_csv
from fer_lab.data.vocabulary import EXPRESSIONS
from fer_lab.errors import ConfigError, DataError

NAME = "fer2013"
TITLE = "FER2013"

EXPRESSION_CODES = {
    0: "anger",
    1: "disgust",
    2: "fear",
    3: "happy",
    4: "sad",
    5: "surprise",
    6: "neutral",
}
USAGES = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
FOLDERS = {"train": "train", "test": "test"}
# FER+'s columns of votes; the last two are for no expression.
VOTES = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "contempt": "contempt",
    "unknown": "unknown",
    "NF": "not a face",
}
NO_MAJORITY = "votes without a majority"
LIST, VOTE_LIST = "fer2013.csv", "fer2013new.csv"
EXPECTED = (
    f"{LIST} (emotion, pixels, Usage), or train/ and test/ with a folder for each expression;"
    f" for the labels of FER+ also {VOTE_LIST}"
)

_PARENTS = ("", "fer2013", "FERPlus", "data")


def read(
    root: str | os.PathLike[str] | None,
    *,
    labels: Literal["fer2013", "ferplus"] = "fer2013",
    votes: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read FER2013 from its CSV file or from folders.

    The pixels of the CSV file are unpacked once into a memory map in the cache; ``path`` is then
    ``fer2013.csv#row``, counted from 0. Rows whose pixels are not 48 × 48 grey values are set
    aside and counted in ``Assets.dropped``.

    With FER+'s labels, a vote that one person only gave is ignored; a face keeps the label that
    more than half of the others name, and ``soft_label`` has the shares of its expressions among
    them. Faces without such a majority, or of which it says unknown or not a face (NF), are set
    aside and counted.

    Args:
        root: folder of the dataset (``EXPECTED`` says what is in it).
        labels: ``fer2013``, or ``ferplus`` for the majority of ten people.
        votes: FER+'s file; by default ``fer2013new.csv`` in ``root``.
        cache_dir: folder of the caches; ``FER_LAB_CACHE`` or ``~/.cache/fer_lab`` by default.

    Returns:
        The manifest; the public test faces are ``val``, the private ones ``test``.

    Raises:
        DataError: for a missing folder or file, a list without its columns, an unknown code,
            usage or folder, votes of other rows, or when no face is left.
        ConfigError: for other labels, or FER+'s for the form in folders.
    """
    folder = find_root(root, TITLE, EXPECTED)
    if labels not in ("fer2013", "ferplus"):
        raise ConfigError(
            f"FER2013 has no labels {labels!r}",
            where="dataset.sources.fer2013.labels",
            hint="choose fer2013 or ferplus",
        )
    path = _find(folder, LIST)
    if path is None:
        if labels == "ferplus" and any((folder / name).is_dir() for name in FOLDERS):
            raise ConfigError(
                f"FER+ labels the rows of {LIST}, which is not there",
                where=folder,
                hint="use `dataset.sources.fer2013.labels=fer2013` for images in folders",
            )
        return _read_folders(folder)
    faces = read_pixel_csv(path, ("emotion", "Usage"), cache_dir=cache_dir)
    place = f"{path}, line "
    usage = faces.rows["Usage"].str.strip()
    refuse_codes(usage[usage != ""], USAGES, name="a usage", place=place)
    codes = known_codes(faces.rows["emotion"], EXPRESSION_CODES, name="an expression", place=place)
    keys = pd.Series(faces.paths.to_numpy(), dtype="str")
    table = pd.DataFrame(
        {
            "id": f"{NAME}/" + keys.str.removeprefix(f"{path.name}#"),
            "dataset": pd.Categorical([NAME] * len(keys)),
            "path": keys,
            "label": pd.Series(codes).map(EXPRESSION_CODES),
            "split": usage.map(USAGES).to_numpy(),
            "reason": "",
        }
    )
    set_aside(table, (codes < 0) | (usage == "").to_numpy(), "malformed row")
    set_aside(table, faces.wrong, WRONG_PIXELS)
    beside = Assets(readers={NAME: faces.reader}, roots={NAME: str(folder)})
    if labels == "ferplus":
        voted = _vote_file(folder, votes)
        table["label"], reason, beside.arrays["soft_label"] = _read_votes(voted, usage)
        table["soft_label"] = np.arange(len(table), dtype=np.int64)
        for name in reason.unique():
            set_aside(table, (reason == name).to_numpy(), name)
    return _kept(table, beside, path)


def majority(votes: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The expression that FER+ gives a face, and how its voters share out.

    Args:
        votes: in the order of ``VOTES``, ``[N, 10]``; a single vote is ignored.

    Returns:
        The column that has more than half of the votes, -1 where none has, ``[N]``; the share of
        each of ``EXPRESSIONS`` among the votes for expressions, ``[N, 8]``, 0 where there are none.

    Source: Barsoum et al. 2016, majority voting, with the outlier rule of its published program.
    """
    counted = np.where(votes > 1, votes, 0)
    first = counted.argmax(axis=1)
    most = counted[np.arange(len(counted)), first]
    label = np.where(most > counted.sum(axis=1) / 2, first, -1).astype(np.int64)
    names = list(VOTES.values())
    expressions = counted[:, [names.index(name) for name in EXPRESSIONS]]
    total = expressions.sum(axis=1, keepdims=True)
    return label, (expressions / np.maximum(total, 1)).astype(np.float32)


def _read_votes(path: Path, usage: pd.Series) -> tuple[pd.Series, pd.Series, NDArray[np.float32]]:
    """FER+'s label of every row, why it is to be set aside (or nothing), and its votes' shares."""
    rows = pd.concat(read_list(path, ("Usage", *VOTES)))
    theirs = rows["Usage"].str.strip()
    if len(theirs) != len(usage):
        raise DataError(
            f"{path.name} has {len(theirs)} rows, {LIST} has {len(usage)}",
            where=path,
            hint="FER+ labels the rows of the complete file, one after the other",
        )
    differs = theirs.to_numpy() != usage.to_numpy()
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        raise DataError(
            f"the row is of usage {theirs.iloc[row]!r} here and {usage.iloc[row]!r} in {LIST}"
            f" ({int(differs.sum())} such rows)",
            where=f"{path}, line {theirs.index[row]}",
            hint="take the two files in the order in which they were published",
        )
    votes = np.zeros((len(rows), len(VOTES)))
    for column, name in enumerate(VOTES):
        votes[:, column], _ = numbers(rows[name])
        wrong = ~(votes[:, column] >= 0)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{rows[name].iloc[row]!r} is no number of votes",
                where=f"{path}, line {rows.index[row]}, column {name}",
            )
    label, shares = majority(votes)
    names = np.array([*VOTES.values(), ""], dtype=object)
    reasons = [
        "" if name in EXPRESSIONS else f"votes for {name}" if name else NO_MAJORITY
        for name in names
    ]
    return (
        pd.Series(names[label], dtype="str").where(label >= 0, "neutral"),
        pd.Series(np.array(reasons, dtype=object)[label], dtype="str"),
        shares,
    )


def _read_folders(folder: Path) -> pd.DataFrame:
    """The form in folders: the split, in it the name of an expression."""
    missing = [name for name in FOLDERS if not (folder / name).is_dir()]
    if missing:
        raise not_its_layout(TITLE, [LIST, *(f"{name}/" for name in missing)], folder, EXPECTED)
    images = class_folders(folder, FOLDERS)
    names = images["folder"].str.lower()
    names.index = pd.Index(images["place"])
    refuse_codes(names, EXPRESSION_WORDS, name="an expression", place=f"{folder}{os.sep}")
    table = pd.DataFrame(
        {
            "id": f"{NAME}/" + images["image"],
            "dataset": pd.Categorical([NAME] * len(images)),
            "path": f"{folder}{os.sep}" + images["image"],
            "label": names.map(EXPRESSION_WORDS).to_numpy(),
            "split": images["split"],
            "reason": "",
        }
    )
    return _kept(table, Assets(roots={NAME: str(folder)}), folder)


def _kept(table: pd.DataFrame, beside: Assets, place: Path) -> pd.DataFrame:
    """The rows that have no reason to be set aside."""
    kept, beside.dropped = kept_rows(table, TITLE, place, EXPECTED)
    kept.attrs["assets"] = beside
    return kept


def _vote_file(folder: Path, votes: str | os.PathLike[str] | None) -> Path:
    """FER+'s file: the one named, or the one found."""
    found = _find(folder, VOTE_LIST) if votes is None else Path(votes).expanduser()
    if found is None:
        raise DataError(
            f"FER+ not found: no {VOTE_LIST}",
            where=folder,
            hint="put it beside fer2013.csv, or name it: `dataset.sources.fer2013.votes=…`",
        )
    return found


def _find(folder: Path, name: str) -> Path | None:
    """A list, at one of the places where copies have it."""
    for parent in _PARENTS:
        if (path := folder / parent / name).is_file():
            return path
    return None
