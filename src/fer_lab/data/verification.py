"""Which image files can be read: looked at once, before training, and remembered."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fer_lab.data.assets import assets, rows_of_files
from fer_lab.data.file_memory import look_up
from fer_lab.data.images import decode

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

REASONS = ("", MISSING, CANNOT_OPEN, EMPTY, TRUNCATED, DAMAGED, NO_IMAGE, TOO_LARGE)

_ORIENTATION = 0x0112
_QUARTER_TURNS = (5, 6, 7, 8)
_MEMORY = "verified-images-2.parquet"


class Finding(NamedTuple):
    """What a look at one file gave: its size as it is decoded, and why it cannot be used.

    Attributes:
        width: in pixels, after the turn that its EXIF orientation asks for; 0 where unknown.
        height: likewise.
        reason: one of ``REASONS``, empty for a good image.
    """

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
    is_file = rows_of_files(manifest)
    paths = manifest.loc[is_file, "path"].drop_duplicates().tolist()
    files = _look_up(paths, Path(cache_dir), threads).reindex(manifest["path"])
    reason = files["reason"].fillna("").to_numpy(dtype=object).copy()
    reason[~is_file] = ""
    return judge(manifest, files[["width", "height"]].to_numpy(np.float64, na_value=np.nan), reason)


def judge(
    manifest: pd.DataFrame, sizes: NDArray[np.float64], reason: NDArray[np.object_]
) -> tuple[NDArray[np.bool_], pd.DataFrame]:
    """Which rows can be used, from what is known of their files.

    Args:
        manifest: the rows.
        sizes: width and height of each row's image as it is decoded, ``[N, 2]``; NaN for a row
            that is not a file.
        reason: why its file cannot be used, empty where it can, ``[N]``.

    Returns:
        As :func:`verify`.
    """
    outside = (reason == "") & np.isfinite(sizes).all(axis=1) & _box_outside(manifest, sizes)
    reason = np.where(outside, OUTSIDE, reason)
    good = np.asarray(reason == "", dtype=bool)
    unreadable = manifest.loc[~good, ["id", "path"]].reset_index(drop=True)
    unreadable.attrs = {}
    return good, unreadable.assign(reason=pd.Series(reason[~good], dtype="str"))


def _look_up(paths: list[str], cache_dir: Path, threads: int | None) -> pd.DataFrame:
    """The finding of every path, as a table indexed by path."""
    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
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
    return files.fillna({"reason": MISSING})


def look(path: str) -> Finding:
    """Decode one file; JPEGs at an eighth of their size, which still reads all of their data."""
    width = height = 0
    try:
        if Path(path).stat().st_size == 0:
            return Finding(0, 0, EMPTY)
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return Finding(width, height, TOO_LARGE)
            image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
            image.load()
            turned = _is_turned(image)
        if turned:
            # Which formats OpenCV turns is its own affair: its answer is the size that counts.
            height, width = decode(path).shape[:2]
        return Finding(width, height, "")
    except FileNotFoundError:
        return Finding(0, 0, MISSING)
    except Image.DecompressionBombError:
        return Finding(width, height, TOO_LARGE)
    except UnidentifiedImageError:
        return Finding(0, 0, NO_IMAGE)
    except OSError as error:
        if error.errno is not None:
            return Finding(width, height, CANNOT_OPEN)
        return Finding(width, height, TRUNCATED if "truncated" in str(error).lower() else DAMAGED)
    except Exception:  # decoders of damaged files raise whatever the damage leads them into
        return Finding(width, height, DAMAGED)


def _is_turned(image: Image.Image) -> bool:
    """Whether the EXIF orientation asks for a quarter turn."""
    try:
        return image.getexif().get(_ORIENTATION) in _QUARTER_TURNS
    except Exception:  # an EXIF block in disorder turns nothing
        return False


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
