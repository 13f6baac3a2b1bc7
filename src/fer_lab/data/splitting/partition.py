"""From published splits to those of a run: folds, a dataset left out, drawn sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.splitting.draws import draw_units
from fer_lab.data.splitting.folds import assign_folds, hold_out
from fer_lab.data.splitting.split_options import Split
from fer_lab.data.splitting.splits import assign_test, assign_validation, resplit
from fer_lab.errors import ConfigError, near_miss


@dataclass(frozen=True)
class Partition:
    """All rows of the data with their splits in one run.

    Attributes:
        manifest: all rows; with a column ``fold`` where there are folds.
        used: whether a row belongs to the run, ``[N]``.
        dropped: rows that do not, by reason.
        notes: what was drawn.
        warnings: what is wrong with it.
    """

    manifest: pd.DataFrame
    used: NDArray[np.bool_]
    dropped: dict[str, int]
    notes: list[str]
    warnings: list[str]


def partition(
    manifest: pd.DataFrame, split: Split, usable: NDArray[np.bool_] | None = None
) -> Partition:
    """Divide the whole data, before any filter, into what is learnt from, watched and tested.

    With ``folds``, the held-out fold is the test and all other rows are training. With
    ``leave_out``, the validation rows of that dataset are the test (its test rows where it has
    none, a drawn test set where it has neither, all rows where none is to be drawn), and training
    and validation rows are those of all others. Otherwise a test set is drawn where a dataset has
    no published one. Validation rows are drawn last, from training rows, where a dataset has none.

    Args:
        manifest: all rows with their published splits.
        split: how to divide them.
        usable: which rows can be read and are of a class wanted, ``[N]``: a drawn set gets one of
            them where there are two; None for all.

    Raises:
        ConfigError: for an option that these data cannot satisfy.
    """
    usable = np.ones(len(manifest), dtype=bool) if usable is None else usable
    used = np.ones(len(manifest), dtype=bool)
    dropped: dict[str, int] = {}
    notes: list[str] = []
    if split.folds is not None:
        fold = assign_folds(manifest, split.folds, split.seed, split.by)
        divided = hold_out(manifest, fold, split.fold)
        notes.append(
            f"fold {split.fold} of {split.folds} is the test: {int((fold == split.fold).sum())} "
            f"of {len(manifest)} rows, in place of published splits"
        )
    elif split.leave_out is not None:
        divided, used = _left_out(manifest, split, usable)
        names = manifest["dataset"].astype("str") + ": " + manifest["split"].astype("str")
        dropped = {
            f"leave_out={split.leave_out} has no use for {name} rows": int(count)
            for name, count in names[~used].value_counts().sort_index().items()
        }
        tested = int((used & (divided["split"] == "test").to_numpy()).sum())
        notes.append(
            f"{split.leave_out} is left out of training: {tested} of its rows are the test"
        )
    else:
        divided = assign_test(manifest, split.test_fraction, split.seed, split.by, usable)
        notes += _drawn(manifest, divided, split)
    divided = assign_validation(divided, split.val_fraction, split.seed, split.by, usable)
    warnings = _shared(divided, used) if split.by == "image" else []
    return Partition(divided, used, dropped, notes, warnings)


def _left_out(
    manifest: pd.DataFrame, split: Split, usable: NDArray[np.bool_]
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """The manifest with the test rows of the dataset left out, and which rows are of use."""
    known = [str(name) for name in manifest["dataset"].unique()]
    if split.leave_out not in known or len(known) < 2:
        near = near_miss(str(split.leave_out), known)
        raise ConfigError(
            f"{split.leave_out} is the only dataset: nothing is left to learn from"
            if split.leave_out in known
            else f"there is no dataset {split.leave_out!r} to leave out"
            + (f"; did you mean {near!r}?" if near else ""),
            where=f"split.leave_out={split.leave_out}",
            hint=f"datasets here: {', '.join(known)}",
        )
    mine = (manifest["dataset"] == split.leave_out).to_numpy()
    published = manifest["split"].to_numpy(dtype=object).copy()
    if not np.isin(published[mine], ("val", "test")).any():
        fraction, seed = split.test_fraction, split.seed
        alone = assign_test(manifest[mine], fraction, seed, split.by, usable[mine])
        published[mine] = alone["split"].to_numpy(dtype=object)
    asked = next(name for name in ("val", "test", "train") if (published[mine] == name).any())
    used = np.where(mine, published == asked, published != "test")
    published[mine & used] = "test"
    return resplit(manifest, published), used


def _drawn(before: pd.DataFrame, after: pd.DataFrame, split: Split) -> list[str]:
    """Which datasets got a test set, in words."""
    changed = (before["split"] != after["split"]).to_numpy()
    notes = []
    for dataset in sorted(set(before["dataset"][changed].astype("str"))):
        mine = (before["dataset"] == dataset).to_numpy()
        total = int((mine & (before["split"] == "train").to_numpy()).sum())
        units = draw_units(before[changed & mine], split.by).nunique()
        whole = f", all of {units} {_kind(before)}," if units else ""
        notes.append(
            f"{dataset} has no published test rows: {int((changed & mine).sum())} of its {total} "
            f"training rows{whole} are drawn (split.test_fraction={split.test_fraction})"
        )
    return notes


def _shared(manifest: pd.DataFrame, used: NDArray[np.bool_]) -> list[str]:
    """A warning where a subject or scene stands on both sides."""
    there = manifest[used]
    sides = pd.concat(
        rows.groupby(draw_units(rows, "subject"))["split"].nunique()
        for _, rows in there.groupby("dataset", observed=True)
    )
    shared = int((sides > 1).sum())
    if shared == 0:
        return []
    return [
        f"leaky: images of {shared} of {len(sides)} {_kind(manifest)} stand in more than one of "
        "training, validation and test (split.by=image), so that the figures flatter the model"
    ]


def _kind(manifest: pd.DataFrame) -> str:
    """What rows are drawn by, in words."""
    return "subjects and scenes" if "scene" in manifest else "subjects"
