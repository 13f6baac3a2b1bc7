"""Which rows of a dataset are audited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import assets, rows_of_files
from fer_lab.data.manifest import SPLITS
from fer_lab.data.pixels.verification import verify
from fer_lab.data.splitting.partition import partition
from fer_lab.data.splitting.split_options import Split
from fer_lab.data.splitting.splits import where
from fer_lab.data.splitting.subsets import equal_cells
from fer_lab.data.splitting.target import EXPRESSION, set_target
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import ConfigError, DataError

Which = Literal["all", "train", "val", "test"]


@dataclass(frozen=True)
class Wanted:
    """What is audited of every dataset.

    Attributes:
        rows: ``all``, or one split as a training would have it.
        split: its ``where`` filters all rows; the rest says which rows are which split.
        classes: 6, 7, 8 or names, see :func:`~fer_lab.data.splitting.target.set_target`.
        target: what ``label`` is.
        verified_in: folder of the verdicts on image files, those that cannot be decoded being set
            aside; None looks at no file.

    Raises:
        ConfigError: for options that cannot work.
    """

    rows: Which
    split: Split
    classes: int | Sequence[str]
    target: str = EXPRESSION
    verified_in: Path | None = None

    def __post_init__(self) -> None:
        if self.rows not in ("all", *SPLITS):
            raise ConfigError(
                f"rows={self.rows} is no choice of rows",
                where="rows",
                hint="use all, train, val or test",
            )
        if self.split.balance is not None and self.rows != "train":
            raise ConfigError(
                "a balanced draw is made of training rows",
                where=f"split.balance={list(self.split.balance)} rows={self.rows}",
                hint="set rows=train, too, or split.balance=null",
            )


def chosen(
    manifest: pd.DataFrame, wanted: Wanted
) -> tuple[pd.DataFrame, tuple[str, ...], dict[str, int], list[str]]:
    """The rows of one dataset that are audited, its classes, what is set aside, and notes.

    Raises:
        ConfigError: for a class, a split or a filter that the dataset does not know.
        DataError: when no row is left.
    """
    dropped = Counter(assets(manifest).dropped)
    manifest, classes = set_target(manifest, wanted.target, wanted.classes)
    in_classes = manifest["label"].isin(classes).to_numpy()
    good, unreadable = in_classes, None
    if wanted.verified_in is not None and rows_of_files(manifest).any():
        _, unreadable = verify(manifest[in_classes], wanted.verified_in)
        good = in_classes & ~manifest["id"].isin(unreadable["id"]).to_numpy()
    notes: list[str] = []
    kept = np.ones(len(manifest), dtype=bool)
    if wanted.rows != "all":
        divided = partition(manifest, wanted.split, good)
        manifest, notes = divided.manifest, [*divided.warnings, *divided.notes]
        of_split = divided.used & (manifest["split"] == wanted.rows).to_numpy()
        kept = _passing(kept, of_split, dropped, "in other splits")
    kept = _passing(kept, where(manifest, wanted.split.where), dropped, "outside split.where")
    for label, count in manifest["label"][kept & ~in_classes].value_counts().items():
        known = f"label {label} not among the classes"
        dropped[f"{wanted.target} unknown" if label == UNKNOWN else known] = int(count)
    if unreadable is not None:
        lost = unreadable["id"].isin(manifest["id"][kept])
        dropped.update(unreadable["reason"][lost].tolist())
    kept &= good
    if wanted.split.balance is not None and kept.any():
        places = np.flatnonzero(kept)
        by, seed, match = wanted.split.balance, wanted.split.seed, wanted.split.match
        drawn, _ = equal_cells(manifest.iloc[places], by, seed, match)
        in_draw = np.zeros(len(manifest), dtype=bool)
        in_draw[places[drawn]] = True
        kept = _passing(kept, in_draw, dropped, "outside the balanced draw")
    if not kept.any():
        reasons = ", ".join(f"{reason} {count}" for reason, count in dropped.items() if count)
        raise DataError(
            f"none of the {len(manifest)} rows of {manifest['dataset'].iloc[0]} is left",
            where=f"rows={wanted.rows} split.where: {wanted.split}",
            hint=f"set aside: {reasons}",
        )
    return manifest[kept].reset_index(drop=True), classes, dict(dropped), notes


def _passing(
    kept: NDArray[np.bool_], passes: NDArray[np.bool_], dropped: Counter[str], reason: str
) -> NDArray[np.bool_]:
    """The kept rows that pass; the others are counted."""
    dropped[reason] += int((kept & ~passes).sum())
    return kept & passes
