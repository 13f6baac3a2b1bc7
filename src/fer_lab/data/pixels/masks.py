"""Region masks in files: PNGs of 8 bits whose values are indices in ``vocabulary.REGIONS``.

A path that ends in ``_*.png`` stands for the parts of one mask: a PNG for each region, with the
region's name for the star, that is 0 outside the region. Regions without a file are not there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_lab.data.pixels.decoding import MAX_PIXELS, MISSING
from fer_lab.data.pixels.file_memory import file_stamps, look_up
from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import DataError

# The value of a pixel of which nothing is known; a face without a mask has no other.
NO_REGION: Final = 255

COLUMN: Final = "mask_path"
UNUSABLE: Final = "region mask unusable, face kept without"

_PARTS: Final = "_*.png"
_FORM: Final = (
    f"a PNG of 8 bits with values from 0 to {len(REGIONS) - 1}, in the order of"
    f" fer_lab.data.vocabulary.REGIONS; {NO_REGION} is no region"
)
_FORM_OF_PARTS: Final = (
    "a PNG of 8 bits a channel for each region, all of one size, named as in"
    " fer_lab.data.vocabulary.REGIONS, 0 outside the region"
)
_MEMORY: Final = "verified-masks-2.parquet"


def decode_mask(path: str, content: bytes | None = None) -> NDArray[np.uint8]:
    """Read a region mask, uint8 ``[H, W]``; a palette's numbers are taken, not its colours.

    Where parts overlap, the later name of ``vocabulary.REGIONS`` lies on top; what no part covers
    is background.

    Args:
        path: the file, or what stands for the parts.
        content: the bytes of a whole mask that lies elsewhere.

    Raises:
        DataError: for a file that is no such mask, a value that is no region, parts of different
            sizes, or no part at all.
    """
    if content is None and in_parts(path):
        return _put_together(path)
    return _whole(path, content)


def in_parts(path: str) -> bool:
    """Whether a path stands for a file for each region."""
    return path.endswith(_PARTS)


def has_parts(manifest: pd.DataFrame) -> bool:
    """Whether a row has a mask in parts."""
    return COLUMN in manifest and bool(manifest[COLUMN].str.endswith(_PARTS).any())


def mask_stamps(paths: Sequence[str]) -> NDArray[np.int64]:
    """Size and time of each mask; for masks in parts, total size and a hash of all.

    See :func:`~fer_lab.data.pixels.file_memory.file_stamps`.
    """
    found = file_stamps(paths)
    for row, path in enumerate(paths):
        if in_parts(path):
            parts = file_stamps([_part(path, region) for region in REGIONS[1:]])
            sizes = parts[:, 0]
            if (sizes >= 0).any():
                digest = hashlib.blake2b(parts.tobytes(), digest_size=8).digest()
                found[row] = sizes[sizes >= 0].sum(), int.from_bytes(digest, "big") >> 1
    return found


def _part(path: str, region: str) -> str:
    return f"{path.removesuffix(_PARTS)}_{region}.png"


def _whole(path: str, content: bytes | None) -> NDArray[np.uint8]:
    try:
        mask = _read(path, ("L", "P"), _FORM, content)
    except FileNotFoundError as error:
        raise _unusable(path, MISSING) from error
    wrong = mask[(mask >= len(REGIONS)) & (mask != NO_REGION)]
    if len(wrong):
        raise _unusable(path, f"{wrong[0]} is no region")
    return mask


def _put_together(path: str) -> NDArray[np.uint8]:
    mask: NDArray[np.uint8] | None = None
    for code, region in enumerate(REGIONS[1:], start=1):
        file = _part(path, region)
        try:
            part = _read(file, ("L", "P", "1", "RGB", "RGBA"), _FORM_OF_PARTS)
        except FileNotFoundError:
            continue
        if mask is None:
            mask = np.zeros(part.shape, dtype=np.uint8)
        if part.shape != mask.shape:
            raise _unusable(file, "it has another size than other parts", _FORM_OF_PARTS)
        mask[part > 0] = code
    if mask is None:
        raise _unusable(path, "it has no part", _FORM_OF_PARTS)
    return mask


def _read(
    path: str, modes: Sequence[str], form: str, content: bytes | None = None
) -> NDArray[np.uint8]:
    """One channel of 8 bits; colours, where they may be, as their brightness.

    Raises:
        FileNotFoundError: when there is no file.
        DataError: when it cannot be used.
    """
    try:
        with Image.open(path if content is None else BytesIO(content), formats=("PNG",)) as image:
            if image.mode not in modes:
                reason = f"its pixels are of the kind {image.mode}"
            elif image.width * image.height > MAX_PIXELS:
                reason = f"it has {image.width} × {image.height} pixels"
            else:
                channel = image if image.mode in ("L", "P") else image.convert("L")
                return np.array(channel, dtype=np.uint8)
    except FileNotFoundError:
        raise
    except Exception as error:  # decoders of damaged files raise whatever the damage leads to
        reason = str(error)
    raise _unusable(path, reason, form)


def _unusable(path: str, reason: str, form: str = _FORM) -> DataError:
    return DataError(f"a region mask cannot be used: {reason}", where=path, hint=form)


def with_usable_masks(
    manifest: pd.DataFrame, cache_dir: Path, *, known: NDArray[np.int32] | None = None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Look at every region mask once; rows whose mask cannot be used go on without one.

    Args:
        manifest: rows, with or without the column ``mask_path``.
        cache_dir: folder where what was found is remembered.
        known: 1 for a row whose mask can be used, 0 for one whose cannot, -1 for those to look
            at, ``[N]``; by default all are.

    Returns:
        The manifest, without the column where no mask is left, and how many cannot be used, by
        reason.
    """
    if COLUMN not in manifest:
        return manifest, {}
    column = manifest[COLUMN]
    usable = np.full(len(manifest), -1, dtype=np.int32) if known is None else known
    unseen = column[usable < 0].dropna().drop_duplicates().astype("str")
    found = look_up(
        pd.DataFrame({"path": unseen.reset_index(drop=True)}),
        _look,
        {"good": "bool"},
        memory=cache_dir / _MEMORY,
        description="checking region masks",
        stamps=mask_stamps,
    )
    good = (usable == 1) | ((usable < 0) & column.isin(found.loc[found["good"], "path"]))
    unusable = int((column.notna() & ~good).sum())
    if not (column.notna() & good).any():
        manifest = manifest.drop(columns=COLUMN)
    elif unusable:
        manifest = manifest.assign(**{COLUMN: column.where(good)})
    return manifest, {UNUSABLE: unusable} if unusable else {}


def _look(path: str) -> tuple[bool]:
    try:
        decode_mask(path)
    except DataError:
        return (False,)
    return (True,)
