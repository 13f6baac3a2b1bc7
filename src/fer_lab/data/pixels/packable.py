"""What can be packed: faces that a reader draws, and image files, row by row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_lab.data.assets import Reader
from fer_lab.data.pixels.decoding import REASONS, attempt
from fer_lab.data.pixels.images import FileImages
from fer_lab.errors import DataError

_PIXELS: Final = ("images", "regions", "landmarks")
FINDINGS: Final = "findings"
ARRAYS: Final = (*_PIXELS, FINDINGS)

Parts = dict[str, NDArray[Any]]


class Faces(Protocol):
    """Rows to pack; picklable for worker processes."""

    def __len__(self) -> int: ...

    def share(self, start: int, stop: int) -> Faces:
        """Some neighbouring rows."""
        ...

    def blank(self, size: int) -> Parts:
        """An empty row of every array there is, by its name in ``ARRAYS``."""
        ...

    def parts(self, row: int, size: int) -> Parts:
        """One row of every array, ``size`` the height and width of the image in pixels."""
        ...

    @property
    def main_only(self) -> bool:
        """Whether no other process can import what makes the pixels."""
        ...


@dataclass(frozen=True)
class DrawnFaces:
    """Rows that a reader draws.

    Attributes:
        reader: draws a row.
        paths: what to draw.
    """

    reader: Reader
    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def share(self, start: int, stop: int) -> DrawnFaces:
        """Some neighbouring rows."""
        return DrawnFaces(self.reader, self.paths[start:stop])

    def blank(self, size: int) -> Parts:
        """Empty arrays like those of the first row."""
        return {name: np.zeros_like(part) for name, part in self.parts(0, size).items()}

    def parts(self, row: int, size: int) -> Parts:
        """The image, with regions and landmarks where the reader has them."""
        sample = self.reader.read(self.paths[row], size)
        return _present(sample.image, sample.regions, sample.landmarks)

    @property
    def main_only(self) -> bool:
        """Whether the reader is from the caller's own script."""
        return type(self.reader).__module__ == "__main__"


@dataclass(frozen=True)
class FileFaces:
    """Rows of image files; the row of a file that cannot be used stays black.

    ``findings`` says of each row what decoding its files gave, int32 ``[4]``: width and height of
    the upright image, the place in ``decoding.REASONS`` of what keeps it from being used, and 1
    for a region mask that can be used, 0 for one that cannot, -1 where there is none.

    Attributes:
        images: the rows.
    """

    images: FileImages

    def __len__(self) -> int:
        return len(self.images)

    def share(self, start: int, stop: int) -> FileFaces:
        """Some neighbouring rows."""
        return FileFaces(self.images.share(start, stop))

    def blank(self, size: int) -> Parts:
        """Zeros for whatever the rows have."""
        pixels = _present(
            np.zeros((size, size, 3), dtype=np.uint8),
            np.zeros((size, size), dtype=np.uint8) if self.images.has_regions else None,
            np.zeros((68, 2), dtype=np.float32) if self.images.has_landmarks else None,
        )
        return pixels | {FINDINGS: np.zeros(4, dtype=np.int32)}

    def parts(self, row: int, size: int) -> Parts:
        """The pixels of a file that can be used, and what was found."""
        parts = self.blank(size)
        mask = None
        with warnings.catch_warnings():
            # What decoders say of a file on the way is no finding.
            warnings.simplefilter("ignore")
            image, found = attempt(self.images.path(row))
            try:
                mask = self.images.mask(row)
                has_mask = -1 if mask is None else 1
            except DataError:
                has_mask = 0
        if image is not None:
            face = self.images.face(row, image, mask)
            whole = _present(face.image, face.regions, face.landmarks)
            parts |= {name: part[0] for name, part in whole.items()}
        parts[FINDINGS][:] = found.width, found.height, REASONS.index(found.reason), has_mask
        return parts

    @property
    def main_only(self) -> bool:
        """Files need nothing of the caller's."""
        return False


def _present(*parts: NDArray[Any] | None) -> Parts:
    return {name: part for name, part in zip(_PIXELS, parts, strict=True) if part is not None}
