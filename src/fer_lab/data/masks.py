"""Region masks in files: PNGs of 8 bits whose values are indices in ``vocabulary.REGIONS``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_lab.data.file_memory import look_up
from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import DataError

# The value of a pixel of which nothing is known; a face without a mask has no other.
NO_REGION: Final = 255

COLUMN: Final = "mask_path"
UNUSABLE: Final = "region mask unusable, face kept without"

_MOST_PIXELS = 80_000_000
_MEMORY = "verified-masks-1.parquet"


def decode_mask(path: str) -> NDArray[np.uint8]:
    """Read a region mask, uint8 ``[H, W]``; a palette's numbers are taken, not its colours.

    Raises:
        DataError: for a file that is no such mask, or has a value that is no region.
    """
    reason = ""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.mode not in ("L", "P"):
                reason = f"it has the mode {image.mode}, not one channel of 8 bits"
            elif image.width * image.height > _MOST_PIXELS:
                reason = f"it has {image.width} × {image.height} pixels"
            else:
                mask = np.array(image, dtype=np.uint8)
                wrong = mask[(mask >= len(REGIONS)) & (mask != NO_REGION)]
                if not len(wrong):
                    return mask
                reason = f"{wrong[0]} is no region"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error)
    raise DataError(
        f"a region mask cannot be used: {reason}",
        where=path,
        hint=f"a PNG of 8 bits with values from 0 to {len(REGIONS) - 1}, in the order of"
        f" fer_lab.data.vocabulary.REGIONS; {NO_REGION} is no region",
    )


def with_usable_masks(
    manifest: pd.DataFrame, cache_dir: Path
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Look at every region mask once; rows whose mask cannot be used go on without one.

    Args:
        manifest: rows, with or without the column ``mask_path``.
        cache_dir: folder where what was found is remembered.

    Returns:
        The manifest, without the column where no mask is left, and how many cannot be used, by
        reason.
    """
    if COLUMN not in manifest:
        return manifest, {}
    paths = manifest[COLUMN].dropna().drop_duplicates().astype("str")
    found = look_up(
        pd.DataFrame({"path": paths.reset_index(drop=True)}),
        _look,
        {"good": "bool"},
        memory=cache_dir / _MEMORY,
        description="checking region masks",
    )
    good = manifest[COLUMN].isin(found.loc[found["good"], "path"])
    unusable = int((manifest[COLUMN].notna() & ~good).sum())
    if not good.any():
        manifest = manifest.drop(columns=COLUMN)
    elif unusable:
        manifest = manifest.assign(**{COLUMN: manifest[COLUMN].where(good)})
    return manifest, {UNUSABLE: unusable} if unusable else {}


def _look(path: str) -> tuple[bool]:
    try:
        decode_mask(path)
    except DataError:
        return (False,)
    return (True,)
