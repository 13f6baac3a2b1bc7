"""Which image files can be read: looked at once, before training, and remembered."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_lab.data.assets import assets, rows_of_files
from fer_lab.data.pixels.decoding import CANNOT_OPEN, MISSING, REASONS, Finding, look
from fer_lab.data.pixels.file_memory import look_up

OUTSIDE: Final = "box outside the image"

_MEMORY: Final = "verified-images-3.parquet"


def verify(
    manifest: pd.DataFrame,
    cache_dir: str | os.PathLike[str],
    *,
    known: NDArray[np.int32] | None = None,
    threads: int | None = None,
) -> tuple[NDArray[np.bool_], pd.DataFrame]:
    """Decode every image file of a manifest that has not been decoded as it is now.

    A file is known by path, size and modification time; what was found is kept in
    ``cache_dir``, also when the work is interrupted. Rows that are not files are good.

    Args:
        manifest: the rows to look at; several may share a file.
        cache_dir: folder of the memory; made when it is not there.
        known: width, height and place in ``decoding.REASONS`` of what packing found in a row's
            file, ``[N, 3]``; -1 as the place for rows to look at. By default all are.
        threads: how many decode at once.

    Returns:
        Which rows are good, and a table of the others with their ``id``, ``path`` and
        ``reason`` (one of ``decoding.REASONS``, or :data:`OUTSIDE`).
    """
    findings = np.full((len(manifest), 3), -1, dtype=np.int32) if known is None else known.copy()
    unseen = (findings[:, 2] < 0) & rows_of_files(manifest)
    paths = manifest.loc[unseen, "path"]
    files = _look_up(paths.drop_duplicates().tolist(), Path(cache_dir), threads)
    findings[unseen] = files.loc[paths].to_numpy(dtype=np.int32)
    reason = np.array((*REASONS, ""), dtype=object)[findings[:, 2]]
    has_size = (reason == "") & (findings[:, 2] >= 0)
    reason[has_size & _box_outside(manifest, findings[:, :2])] = OUTSIDE
    good = np.asarray(reason == "", dtype=bool)
    unreadable = manifest.loc[~good, ["id", "path"]].reset_index(drop=True)
    unreadable.attrs = {}
    return good, unreadable.assign(reason=pd.Series(reason[~good], dtype="str"))


def _look_up(paths: list[str], cache_dir: Path, threads: int | None) -> pd.DataFrame:
    """Width, height and place of the reason in ``REASONS`` of every file, indexed by path."""
    Image.init()
    found = look_up(
        pd.DataFrame({"path": pd.Series(paths, dtype="str")}),
        look,
        {"width": "int64", "height": "int64", "reason": "str"},
        memory=cache_dir / _MEMORY,
        description="checking image files",
        threads=threads,
        certain=lambda learnt: ~learnt["reason"].isin((CANNOT_OPEN, MISSING)),
    )
    files = found.set_index("path")[list(Finding._fields)].reindex(paths)
    files = files.fillna({"width": 0, "height": 0, "reason": MISSING})
    return files.assign(reason=files["reason"].map(REASONS.index))


def _box_outside(manifest: pd.DataFrame, sizes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which rows have a box that shares no area with their image, ``sizes`` as width, height."""
    boxes = assets(manifest).arrays.get("box")
    outside = np.zeros(len(manifest), dtype=bool)
    if boxes is None or "box" not in manifest:
        return outside
    rows = manifest["box"].to_numpy()
    has_box = rows >= 0
    start = boxes[rows[has_box], :2]
    end = start + boxes[rows[has_box], 2:]
    shared = np.minimum(end, sizes[has_box]) - np.maximum(start, 0)
    outside[has_box] = ~(shared > 0).all(axis=1)
    return outside
