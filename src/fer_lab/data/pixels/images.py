"""Where pixels come from: image files decoded when they are asked for, and parts put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import assets
from fer_lab.data.pixels.decoding import decode
from fer_lab.data.pixels.masks import COLUMN as MASK_PATH
from fer_lab.data.pixels.masks import NO_REGION, decode_mask
from fer_lab.data.pixels.opencv import opencv

Rows = NDArray[np.int64]

# A face box ends at brows and chin; the studies widen it by 25 to 35 % before they crop.
WIDENING: Final = 0.3


@dataclass(frozen=True)
class Pixels:
    """The pixels of a batch.

    Attributes:
        image: uint8 ``[B, H, W, 3]``, RGB.
        regions: uint8 ``[B, H, W]``, index in ``vocabulary.REGIONS`` (255 where it is in none,
            and all over a face without a mask), or None.
        landmarks: float32 ``[B, 68, 2]``, x and y in pixels of ``image`` (integers are centres of
            pixels; NaN for a face without them), or None.
    """

    image: NDArray[np.uint8]
    regions: NDArray[np.uint8] | None = None
    landmarks: NDArray[np.float32] | None = None


class Images(Protocol):
    """Square images of one size, by row."""

    @property
    def size(self) -> int:
        """Height and width in pixels."""
        ...

    @property
    def has_regions(self) -> bool:
        """Whether rows have region masks."""
        ...

    @property
    def has_landmarks(self) -> bool:
        """Whether rows have landmarks."""
        ...

    def read(self, rows: Rows) -> Pixels:
        """The pixels of some rows, in their order."""
        ...


class FileImages:
    """Image files, cropped to the face where the manifest has a box, and resized.

    Files are decoded as :mod:`~fer_lab.data.pixels.decoding` says; boxes and landmarks are places
    in upright images. Region masks (column ``mask_path``) are cropped and resized likewise, without
    interpolation.

    Args:
        manifest: rows whose ``path`` is a file.
        size: height and width of what :meth:`read` returns, in pixels.
    """

    def __init__(self, manifest: pd.DataFrame, size: int) -> None:
        self.size = size
        self.has_regions = MASK_PATH in manifest and bool(manifest[MASK_PATH].notna().any())
        self._masks = manifest[MASK_PATH].array if self.has_regions else None
        # The frame's own array: Arrow strings are not touched, and so not copied, by workers.
        self._paths = manifest["path"].array
        self._boxes = _Beside(manifest, "box")
        self._landmarks = _Beside(manifest, "landmarks")
        self.has_landmarks = self._landmarks.any

    def __len__(self) -> int:
        return len(self._paths)

    def share(self, start: int, stop: int) -> FileImages:
        """Some neighbouring rows; whether there are landmarks is that of all rows."""
        part = copy(self)
        part._paths = self._paths[start:stop]
        part._masks = None if self._masks is None else self._masks[start:stop]
        part._boxes = self._boxes.share(start, stop)
        part._landmarks = self._landmarks.share(start, stop)
        return part

    def read(self, rows: Rows) -> Pixels:
        """Decode some files.

        Raises:
            DataError: when a file or a mask cannot be used, naming it.
        """
        image = np.empty((len(rows), self.size, self.size, 3), dtype=np.uint8)
        regions = np.empty(image.shape[:3], dtype=np.uint8) if self.has_regions else None
        landmarks = np.empty((len(rows), 68, 2), np.float32) if self.has_landmarks else None
        for place, decoded in enumerate(self._decoded(rows)):
            face = self.face(*decoded)
            image[place] = face.image[0]
            if regions is not None and face.regions is not None:
                regions[place] = face.regions[0]
            if landmarks is not None and face.landmarks is not None:
                landmarks[place] = face.landmarks[0]
        return Pixels(image, regions, landmarks)

    def _decoded(
        self, rows: Rows
    ) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.uint8] | None]]:
        """Each row with its whole image and its region mask."""
        for row in rows:
            yield row, decode(self.path(row)), self.mask(row)

    def path(self, row: int) -> str:
        """The file of a row."""
        return str(self._paths[row])

    def mask(self, row: int) -> NDArray[np.uint8] | None:
        """The region mask of a row, uint8 ``[H, W]``, None where it has none.

        Raises:
            DataError: when it cannot be used.
        """
        mask = None if self._masks is None else self._masks[row]
        return decode_mask(mask) if isinstance(mask, str) else None

    def face(self, row: int, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> Pixels:
        """The face of a row, cropped and resized, as a batch of one.

        Args:
            row: the row.
            image: its file, decoded, uint8 ``[H, W, 3]``.
            mask: its region mask, of any resolution, None where there is none.
        """
        height, width = image.shape[:2]
        left, top, right, bottom = 0, 0, width, height
        if self._boxes.any and not np.isnan(box := self._boxes.read(row)).any():
            left, top, right, bottom = face_crop(box, width, height)
        regions = None
        if self.has_regions:
            regions = np.full((1, self.size, self.size), NO_REGION, dtype=np.uint8)
            if mask is not None:
                shares = (left / width, top / height, right / width, bottom / height)
                regions[0] = resize_mask(mask, shares, self.size)
        landmarks = None
        if self.has_landmarks:
            scale = np.array([self.size / (right - left), self.size / (bottom - top)])
            landmarks = (self._landmarks.read(row) - (left, top) + 0.5) * scale - 0.5
            landmarks = landmarks[None].astype(np.float32)
        return Pixels(resize(image[top:bottom, left:right], self.size)[None], regions, landmarks)


class JoinedImages:
    """Rows of one or several makers of pixels under one numbering.

    Region masks are there when any part has them (255 elsewhere), and so are landmarks (NaN).

    Args:
        parts: the makers, all of one size.
        part: which maker a row belongs to, ``[N]``.
        row: the row it has there, ``[N]``.
    """

    def __init__(self, parts: Sequence[Images], part: Rows, row: Rows) -> None:
        self.size = parts[0].size
        self.has_regions = any(each.has_regions for each in parts)
        self.has_landmarks = any(each.has_landmarks for each in parts)
        self._parts = list(parts)
        self._part = part
        self._row = row

    def read(self, rows: Rows) -> Pixels:
        """The pixels of some rows, in their order."""
        if len(self._parts) == 1:
            return self._parts[0].read(self._row[rows])
        side, count = self.size, len(rows)
        image = np.empty((count, side, side, 3), dtype=np.uint8)
        regions = landmarks = None
        if self.has_regions:
            regions = np.full((count, side, side), NO_REGION, dtype=np.uint8)
        if self.has_landmarks:
            landmarks = np.full((count, 68, 2), np.nan, dtype=np.float32)
        for number, part in enumerate(self._parts):
            places = np.flatnonzero(self._part[rows] == number)
            if len(places) == 0:
                continue
            pixels = part.read(self._row[rows[places]])
            image[places] = pixels.image
            if regions is not None and pixels.regions is not None:
                regions[places] = pixels.regions
            if landmarks is not None and pixels.landmarks is not None:
                landmarks[places] = pixels.landmarks
        return Pixels(image, regions, landmarks)


def face_crop(box: NDArray[np.float32], width: int, height: int) -> tuple[int, int, int, int]:
    """A face box, widened by 30 % about its centre and clipped to the image.

    Args:
        box: left, top, width and height in pixels.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Returns:
        Left, top, right and bottom, whole pixels, the last two exclusive; at least one pixel.

    >>> face_crop(np.array([10, 20, 100, 40], dtype=np.float32), 200, 60)
    (0, 14, 125, 60)
    """
    left, top, across, down = (float(value) for value in box)
    beside, above = across * WIDENING / 2, down * WIDENING / 2
    first = min(max(round(left - beside), 0), width - 1)
    upper = min(max(round(top - above), 0), height - 1)
    last = max(min(round(left + across + beside), width), first + 1)
    lower = max(min(round(top + down + above), height), upper + 1)
    return first, upper, last, lower


def resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Bring an image to ``size`` × ``size`` pixels, averaging areas where it shrinks."""
    height, width = image.shape[:2]
    if height == width == size:
        return image
    cv2 = opencv()
    method = cv2.INTER_AREA if min(height, width) >= size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), dtype=np.uint8)


def resize_mask(
    mask: NDArray[np.uint8], crop: tuple[float, float, float, float], size: int
) -> NDArray[np.uint8]:
    """Crop a region mask and bring it to ``size`` × ``size`` pixels, each the nearest one.

    Args:
        mask: uint8 ``[H, W]``; it may have another resolution than its image.
        crop: left, top, right and bottom in shares of the width and height.
        size: height and width of the result, in pixels.
    """
    left, top, right, bottom = crop
    steps = (np.arange(size) + 0.5) / size
    rows = ((top + (bottom - top) * steps) * mask.shape[0]).astype(np.int64)
    columns = ((left + (right - left) * steps) * mask.shape[1]).astype(np.int64)
    return np.asarray(mask[np.ix_(rows, columns)], dtype=np.uint8)


class _Beside:
    """An array beside the manifest, read by row of the manifest."""

    def __init__(self, manifest: pd.DataFrame, name: str) -> None:
        array = assets(manifest).arrays.get(name)
        self.rows: Rows = np.empty(0, dtype=np.int64)
        if array is not None and name in manifest:
            self.array = array
            self.rows = manifest[name].to_numpy(dtype=np.int64)
        self.any = bool((self.rows >= 0).any())

    def read(self, row: int) -> NDArray[np.float32]:
        """The entry of a row, NaN where it has none."""
        own = self.rows[row]
        if own < 0:
            return np.full(self.array.shape[1:], np.nan, dtype=np.float32)
        return np.asarray(self.array[own], dtype=np.float32)

    def share(self, start: int, stop: int) -> _Beside:
        """Some neighbouring rows, with their entries alone."""
        part = copy(self)
        part.rows = self.rows[start:stop]
        if self.any:
            there = part.rows >= 0
            part.array = np.asarray(self.array[part.rows[there]])
            part.rows = np.where(there, np.cumsum(there) - 1, -1)
            # An entry for rows without one to point at.
            if not len(part.array):
                part.array = np.full((1, *self.array.shape[1:]), np.nan, dtype=np.float32)
        return part
