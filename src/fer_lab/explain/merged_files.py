"""Merged heatmaps on disk: ``merged_<split>.npz``, and beside it in JSON what they were made of."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fer_lab.errors import DataError
from fer_lab.explain.merged import Merged
from fer_lab.files import atomic_path, write_json


def write_merged(folder: Path, split: str, merged: Merged, facts: Mapping[str, Any]) -> Path:
    """Write ``merged_<split>.npz`` and ``merged_<split>.json`` into ``folder``.

    The arrays are ``mean`` (float16) and ``count`` (uint16), both ``[cells, blocks, H, W]``, and
    ``cells``, a row of names for each cell. Half floats are exact to a two-thousandth of the
    maps' range, far below the noise of any block's mean.

    Args:
        folder: where the files go.
        split: whose images they are of.
        merged: the heatmaps.
        facts: what is to be known of them.

    Returns:
        The path of the arrays.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(merged.count > 0, merged.total / merged.count, np.nan)
    arrays = {
        "mean": mean.astype(np.float16),
        "count": merged.count.astype(np.uint16),
        "cells": np.array(merged.cells, dtype=np.str_).reshape(len(merged.cells), -1),
    }
    write_json(folder / f"merged_{split}.json", facts)
    path = folder / f"merged_{split}.npz"
    with (
        atomic_path(path) as temporary,
        # Higher levels of compression take ten times as long for a few percent.
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
    return path


def read_merged(path: Path) -> Merged:
    """Read what `write_merged` has written.

    Args:
        path: of the arrays.

    Raises:
        DataError: if the file is missing or damaged, or holds something else.
    """
    hint = "it is written at the end of a run whose dataset has landmarks and explain is not none"
    if not path.is_file():
        raise DataError("there are no merged heatmaps", where=path, hint=hint)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            mean, count, cells = (arrays[name] for name in ("mean", "count", "cells"))
            if mean.ndim != 4 or count.shape != mean.shape or len(cells) != len(mean):
                raise ValueError(f"mean {mean.shape}, count {count.shape}, cells {cells.shape}")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"it cannot be read: {error}", where=path, hint=hint) from error
    known = count.astype(np.float32)
    total = np.where(known > 0, mean.astype(np.float32) * known, 0)
    return Merged(tuple(tuple(map(str, names)) for names in cells.tolist()), total, known)


def read_merged_facts(path: Path) -> dict[str, Any]:
    """What is known of the heatmaps at ``path``.

    Raises:
        DataError: if there is no such file or it is damaged.
    """
    facts = path.with_suffix(".json")
    try:
        found: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"it cannot be read: {error}", where=facts) from error
    return found
