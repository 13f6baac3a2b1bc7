"""Which image files can be read: looked at once, before training, and remembered."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fer_lab.data.manifest import assets
from fer_lab.data.threads import map_in_threads
from fer_lab.files import atomic_path

# What OpenCV decodes too; a photograph of more pixels is not one of a face.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 80_000_000

MISSING = "file missing"
CANNOT_OPEN = "file cannot be opened"
EMPTY = "empty file"
TRUNCATED = "truncated image"
DAMAGED = "damaged image"
NO_IMAGE = "not an image"
TOO_LARGE = f"more than {MAX_PIXELS // 1_000_000} megapixels"
OUTSIDE = "box outside the image"

_MEMORY = "verified-images-1.parquet"
_KEY = ["path", "size", "mtime_ns"]

_log = logging.getLogger(__name__)


class _Finding(NamedTuple):
    """What a look at one file gave; an empty reason is a good image."""

    width: int
    height: int
    reason: str


def verify(
    manifest: pd.DataFrame, cache_dir: str | os.PathLike[str], *, threads: int | None = None
) -> tuple[NDArray[np.bool_], pd.DataFrame]:
    """Decode every image file of a manifest that has not been decoded as it is now.

    A file is known by path, size and modification time; what was found is kept in
    ``cache_dir``, also when the work is interrupted. Rows that are not files are good.

    Args:
        manifest: the rows to look at; several may share a file.
        cache_dir: folder of the memory; made when it is not there.
        threads: how many decode at once.

    Returns:
        Which rows are good, and a table of the others with their ``id``, ``path`` and
        ``reason`` (one of this module's constants).
    """
    is_file = ~manifest["dataset"].isin(list(assets(manifest).readers)).to_numpy()
    paths = manifest.loc[is_file, "path"].drop_duplicates().tolist()
    files = _look_up(paths, Path(cache_dir), threads).reindex(manifest["path"])
    reason = files["reason"].fillna("").to_numpy(dtype=object).copy()
    sizes = files[["width", "height"]].to_numpy(dtype=np.float64, na_value=np.nan)
    reason[(reason == "") & _box_outside(manifest, sizes)] = OUTSIDE
    reason[~is_file] = ""
    good = np.asarray(reason == "", dtype=bool)
    unreadable = manifest.loc[~good, ["id", "path"]].reset_index(drop=True)
    unreadable.attrs = {}
    return good, unreadable.assign(reason=pd.Series(reason[~good], dtype="str"))


def _look_up(paths: list[str], cache_dir: Path, threads: int | None) -> pd.DataFrame:
    """The finding of every path, as a table indexed by path."""
    stats = [_stat(path) for path in paths]
    files = pd.DataFrame(
        {
            "path": pd.Series(
                [path for path, stat in zip(paths, stats, strict=True) if stat], dtype="str"
            ),
            "size": np.array([stat.st_size for stat in stats if stat], dtype=np.int64),
            "mtime_ns": np.array([stat.st_mtime_ns for stat in stats if stat], dtype=np.int64),
        }
    )
    found = files.merge(_remembered(cache_dir), on=_KEY, how="left")
    new = found[found["reason"].isna()]
    findings: list[_Finding] = []
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            findings.extend(
                map_in_threads(
                    _look,
                    new["path"].tolist(),
                    description="checking image files",
                    threads=threads,
                )
            )
    finally:
        looked_at = new[_KEY].iloc[: len(findings)].reset_index(drop=True)
        table = pd.DataFrame(findings, columns=list(_Finding._fields)).astype(
            {"width": "int64", "height": "int64", "reason": "str"}
        )
        learnt = pd.concat([looked_at, table], axis=1)
        _remember(learnt[learnt["reason"] != CANNOT_OPEN], cache_dir)
    absent = pd.DataFrame({"path": sorted(set(paths) - set(files["path"])), "reason": MISSING})
    parts = [part for part in (found.dropna(subset="reason"), learnt, absent) if len(part)]
    columns = ["path", *_Finding._fields]
    if not parts:
        return pd.DataFrame(columns=columns).set_index("path")
    return pd.concat(parts).reindex(columns=columns).set_index("path")


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 (half the time of Path.stat, for each of many files)
    except OSError:
        return None


def _look(path: str) -> _Finding:
    """Decode one file; JPEGs at an eighth of their size, which still reads all of their data."""
    width = height = 0
    try:
        if Path(path).stat().st_size == 0:
            return _Finding(0, 0, EMPTY)
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return _Finding(width, height, TOO_LARGE)
            image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
            image.load()
        return _Finding(width, height, "")
    except Image.DecompressionBombError:
        return _Finding(width, height, TOO_LARGE)
    except UnidentifiedImageError:
        return _Finding(0, 0, NO_IMAGE)
    except OSError as error:
        if error.errno is not None:
            return _Finding(width, height, CANNOT_OPEN)
        return _Finding(width, height, TRUNCATED if "truncated" in str(error).lower() else DAMAGED)
    except Exception:  # decoders of damaged files raise whatever the damage leads them into
        return _Finding(width, height, DAMAGED)


def _box_outside(manifest: pd.DataFrame, sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
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


def _remembered(cache_dir: Path) -> pd.DataFrame:
    """What earlier looks found; nothing where there is no memory or it cannot be read."""
    columns = [*_KEY, *_Finding._fields]
    try:
        return pd.read_parquet(cache_dir / _MEMORY, columns=columns)
    except (OSError, ValueError, KeyError):
        types = {"path": "str", "reason": "str"}
        return pd.DataFrame({name: pd.Series(dtype=types.get(name, "int64")) for name in columns})


def _remember(learnt: pd.DataFrame, cache_dir: Path) -> None:
    """Add to the memory; another process may have added to it meanwhile."""
    if learnt.empty:
        return
    known = pd.concat([_remembered(cache_dir), learnt]).drop_duplicates("path", keep="last")
    try:
        with atomic_path(cache_dir / _MEMORY) as temporary:
            known.to_parquet(temporary, index=False)
    except OSError as error:
        _log.warning("what was learnt about image files is not kept: %s", error)
