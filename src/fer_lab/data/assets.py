"""What stands beside a manifest's table: arrays, and the makers of pixels that are not files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.vocabulary import EXPRESSIONS

# Columns that hold a row of an array beside the table, and the shape of one such row.
ARRAY_SHAPES: Mapping[str, tuple[int, ...]] = {
    "landmarks": (68, 2),
    "box": (4,),
    "soft_label": (len(EXPRESSIONS),),
}


UNMATCHED_COLUMNS = ("kind", "place", "path")


@dataclass(frozen=True)
class Sample:
    """The pixels of one face that is not a file, with whatever is known about them.

    Attributes:
        image: uint8 ``[H, W, 3]``, RGB.
        regions: uint8 ``[H, W]``, index in ``vocabulary.REGIONS``, or None.
        landmarks: float32 ``[68, 2]``, x and y in pixels of ``image``, or None.
    """

    image: NDArray[np.uint8]
    regions: NDArray[np.uint8] | None = None
    landmarks: NDArray[np.float32] | None = None


class Reader(Protocol):
    """Makes the pixels of a dataset's rows; picklable for worker processes."""

    def key(self) -> str:
        """A hash of every setting that changes pixels."""
        ...

    def read(self, path: str, size: int) -> Sample:
        """The sample that ``path`` stands for, ``size`` pixels high and wide."""
        ...


class Assets:
    """What belongs to a manifest and is not a cell: shared by every frame derived from it.

    pandas deep-copies a frame's ``attrs`` in every operation and compares them in others, so a
    deep copy is the object itself and equality is identity.

    Attributes:
        arrays: by column name (``landmarks`` ``[M, 68, 2]`` pixels, ``box`` ``[M, 4]`` as left,
            top, width, height in pixels, ``soft_label`` ``[M, 8]``); float32, may be memory maps.
        readers: by dataset name; a dataset without one reads files.
        dropped: rows set aside while reading, by reason.
        roots: folder of each dataset, which its fingerprint leaves out.
        unmatched: ``kind``, ``place`` and ``path`` of each label in a file beside a dataset that
            is of no image there.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray[np.float32]] | None = None,
        readers: Mapping[str, Reader] | None = None,
        dropped: Mapping[str, int] | None = None,
        roots: Mapping[str, str] | None = None,
        unmatched: pd.DataFrame | None = None,
    ) -> None:
        self.arrays: dict[str, NDArray[np.float32]] = dict(arrays or {})
        self.readers: dict[str, Reader] = dict(readers or {})
        self.dropped: dict[str, int] = dict(dropped or {})
        self.roots: dict[str, str] = dict(roots or {})
        none = pd.DataFrame(columns=list(UNMATCHED_COLUMNS), dtype="str")
        self.unmatched = none if unmatched is None else unmatched

    def __copy__(self) -> Assets:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Assets:
        return self


def rows_of_files(manifest: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows have the path of an image file, ``[N]``: all but those that a reader draws."""
    return np.asarray(~manifest["dataset"].isin(list(assets(manifest).readers)), dtype=bool)


def assets(manifest: pd.DataFrame) -> Assets:
    """The assets of a manifest; empty ones are attached where it has none."""
    found = manifest.attrs.get("assets")
    if not isinstance(found, Assets):
        found = manifest.attrs["assets"] = Assets()
    return found
