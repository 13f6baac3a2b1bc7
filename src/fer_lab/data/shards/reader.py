"""Pixels of faces in shards: a member's bytes, checked and decoded as those of a file."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import Sample
from fer_lab.data.pixels.decoding import decode
from fer_lab.data.pixels.images import FileImages, Rows
from fer_lab.data.pixels.masks import decode_mask
from fer_lab.data.shards.ahead import Ahead
from fer_lab.data.shards.cache import ShardCache, ShardFiles
from fer_lab.data.shards.index import Index
from fer_lab.errors import DataError

# Columns of the table that say where a face lies, and where its region mask does (size 0: nowhere).
MEMBER: Final = "member"
PLACE: Final = ("shard", "offset", "size", "crc32")
MASK_PLACE: Final = ("mask_offset", "mask_size", "mask_crc32")


class ShardReader:
    """Reads the faces of one dataset out of its shards.

    Args:
        index: its files.
        files: opens them.
        manifest: its rows, as whoever reads the dataset gets them.
        places: the columns of ``PLACE`` and ``MASK_PLACE`` by row of the manifest.
        window: how many shards a training reads from at a time.
        ahead: how many further ones are fetched before they are needed.
    """

    def __init__(
        self,
        index: Index,
        files: ShardFiles,
        manifest: pd.DataFrame,
        places: pd.DataFrame,
        *,
        window: int,
        ahead: int,
    ) -> None:
        self.index = index
        self.window = window
        self.ahead = ahead
        self._files = files
        self._manifest = manifest
        self._rows = pd.Index(manifest["path"])
        self._places = places[[*PLACE, *MASK_PLACE]].to_numpy(dtype=np.int64)
        self._background = Ahead(files) if isinstance(files, ShardCache) else None
        self._images: dict[int, ShardImages] = {}

    @property
    def has_masks(self) -> bool:
        """Whether any face has a region mask in the shards."""
        return bool((self._places[:, 5] > 0).any())

    def key(self) -> str:
        """A hash of the index, and so of every pixel."""
        text = json.dumps(self.index.content(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def read(self, path: str, size: int) -> Sample:
        """The face of a row of the manifest, ``size`` pixels high and wide."""
        if size not in self._images:
            self._images[size] = self.images(self._manifest, size)
        pixels = self._images[size].read(self.rows([path]))
        return Sample(
            pixels.image[0],
            None if pixels.regions is None else pixels.regions[0],
            None if pixels.landmarks is None else pixels.landmarks[0],
        )

    def images(self, manifest: pd.DataFrame, size: int) -> ShardImages:
        """The pixels of some rows of the manifest, by row."""
        return ShardImages(manifest, size, self)

    def rows(self, paths: Sequence[str] | pd.Series) -> Rows:
        """The rows of the dataset that have these paths, ``[N]``."""
        return np.asarray(self._rows.get_indexer(pd.Index(paths)), dtype=np.int64)

    def shards(self, paths: pd.Series) -> Rows:
        """The shard that each path lies in, ``[N]``."""
        return np.asarray(self._places[self.rows(paths), 0], dtype=np.int64)

    def follow(self, coming: Sequence[int], held: Sequence[int]) -> None:
        """Have shards fetched in the background; of a folder nothing has to be."""
        if self._background is not None:
            shards = self.index.shards
            self._background.want([shards[n] for n in coming], [shards[n] for n in held])

    def open(self, shard: int) -> BinaryIO:
        """A shard, for reading.

        Raises:
            DataError: when it cannot be had.
        """
        return self._files.open(self.index.shards[shard])

    def content(self, row: int, file: BinaryIO, *, mask: bool = False) -> bytes:
        """The bytes of a row's image or region mask; none where it has no mask.

        Args:
            row: of the dataset.
            file: its shard, open.
            mask: whether the mask is wanted.

        Raises:
            DataError: when they are not those that were written.
        """
        shard, *image = self._places[row, :4].tolist()
        offset, size, checksum = self._places[row, 4:].tolist() if mask else image
        content = os.pread(file.fileno(), size, offset)
        if _is_whole(content, size, checksum):
            return content
        # A cached shard may have been damaged on the disk; what a server sends is checked.
        if self._files.discard(self.index.shards[shard]):
            with self.open(shard) as again:
                content = os.pread(again.fileno(), size, offset)
            if _is_whole(content, size, checksum):
                return content
        raise DataError(
            "a face in a shard is not what the table of the shards says",
            where=self._rows[row],
            hint="the shard was changed or damaged: copy or write the shards anew",
        )


class ShardImages(FileImages):
    """Faces in shards, cropped and resized as those in files are.

    A region mask in a file (column ``mask_path``) comes before one in the shards.

    Args:
        manifest: rows of the reader's dataset.
        size: height and width of what :meth:`read` returns, in pixels.
        reader: of the dataset.
    """

    def __init__(self, manifest: pd.DataFrame, size: int, reader: ShardReader) -> None:
        super().__init__(manifest, size)
        self.has_regions = self.has_regions or reader.has_masks
        self._reader = reader
        self._row = reader.rows(manifest["path"])
        self._shard = reader.shards(manifest["path"])

    def _decoded(
        self, rows: Rows
    ) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.uint8] | None]]:
        files: dict[int, BinaryIO] = {}
        with ExitStack() as opened:
            for row in rows.tolist():
                shard, path = int(self._shard[row]), self.path(row)
                if shard not in files:
                    files[shard] = opened.enter_context(self._reader.open(shard))
                own = self._row[row]
                image = decode(path, self._reader.content(own, files[shard]))
                mask = self.mask(row)
                if mask is None and (content := self._reader.content(own, files[shard], mask=True)):
                    mask = decode_mask(path, content)
                yield row, image, mask


def shard_paths(root: str | Path, index: Index, table: pd.DataFrame) -> list[str]:
    """What manifests call the members of shards: ``ROOT/train-00000.tar#000000017.jpg``."""
    names = [f"{root}/{shard.name}#" for shard in index.shards]
    return [
        names[shard] + member
        for shard, member in zip(table["shard"].tolist(), table[MEMBER].tolist(), strict=True)
    ]


def _is_whole(content: bytes, size: int, checksum: int) -> bool:
    return len(content) == size and (size == 0 or zlib.crc32(content) == checksum)
