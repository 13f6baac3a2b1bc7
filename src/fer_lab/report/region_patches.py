"""The high-impact patches that a run keeps, read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class RegionPatches:
    """The high-impact patches of one region, best first.

    Attributes:
        image: uint8 ``[k, Z, Z, 3]``, RGB.
        score: float ``[k]``, the attribution that falls on the region inside the patch.
        id: the face each patch is from, ``[k]``.
    """

    image: npt.NDArray[np.uint8]
    score: npt.NDArray[np.float32]
    id: npt.NDArray[np.str_]


def read_patches(path: Path) -> dict[str, RegionPatches]:
    """The patches by region; a region without any is left out. Nothing is unpickled.

    Args:
        path: ``explanations/patches.npz``.

    Raises:
        ValueError, KeyError, OSError: if the file is damaged or of another form.
    """
    with np.load(path, allow_pickle=False) as arrays:
        return region_patches(arrays)


def region_patches(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, RegionPatches]:
    """The patches by region from the arrays of ``patches.npz``."""
    names = [key.removesuffix("/image") for key in arrays if key.endswith("/image")]
    return {
        name: RegionPatches(*(arrays[f"{name}/{part}"] for part in ("image", "score", "id")))
        for name in names
        if len(arrays[f"{name}/score"])
    }
