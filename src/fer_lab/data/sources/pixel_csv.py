"""Faces whose grey values stand in a cell of a CSV file, unpacked once into a memory map."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import Sample
from fer_lab.data.pixels.images import resize
from fer_lab.data.pixels.packed import default_cache
from fer_lab.data.sources.lists import read_list
from fer_lab.errors import DataError
from fer_lab.files import write_json

SIDE: Final = 48
WRONG_PIXELS: Final = "pixels are not 48 × 48 grey values"

# Part of every key: raise it when the files of the cache change their form.
_FORMAT: Final = 1
# Cells have about 8 kB: parts of this many rows stay small in memory.
_ROWS: Final = 1_000
_BLANKS: Final = np.frombuffer(b" \t\r\n", dtype=np.uint8)

_log = logging.getLogger(__name__)


class PixelReader:
    """Reads unpacked faces; ``name.csv#n`` is the n-th row of the file, counted from 0.

    Grey is replicated to three channels.

    Args:
        array: the ``.npy`` file, uint8 ``[rows, 48, 48]``.
        content: hash of its content.
    """

    def __init__(self, array: Path, content: str) -> None:
        self.array = array
        self.content = content

    def __reduce__(self) -> tuple[type[PixelReader], tuple[Path, str]]:
        """Other processes map the file instead of receiving its content."""
        return type(self), (self.array, self.content)

    def key(self) -> str:
        """The hash of all pixels: a copy of the file elsewhere has the same."""
        return f"pixels-{self.content}"

    def read(self, path: str, size: int) -> Sample:
        """A face, ``size`` pixels high and wide.

        Raises:
            DataError: when the unpacked pixels are gone.
        """
        grey = resize(self._pixels[int(path.rpartition("#")[2])], size)
        return Sample(image=np.repeat(grey[:, :, None], 3, axis=2))

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        try:
            # A plain array over the map: indexing a memmap costs more than the copy it makes.
            return np.asarray(np.load(self.array, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"the unpacked pixels cannot be read: {error}",
                where=self.array,
                hint="they were there when the dataset was read; start anew",
            ) from error


@dataclass(frozen=True)
class PixelCsv:
    """A CSV file of faces.

    Attributes:
        rows: its other columns as text; the index is the line in the file.
        paths: what the reader calls each row, ``name.csv#n``.
        wrong: which rows have pixels that are none, to be set aside as ``WRONG_PIXELS``.
        reader: gives the pixels.
    """

    rows: pd.DataFrame
    paths: pd.Series
    wrong: NDArray[np.bool_]
    reader: PixelReader


def read_pixel_csv(
    path: Path,
    columns: Sequence[str],
    *,
    pixels: str = "pixels",
    cache_dir: str | os.PathLike[str] | None = None,
) -> PixelCsv:
    """Read a CSV file with a column of 48 × 48 grey values, separated by spaces.

    What is read is kept in the cache under the file's path, size and modification time: only a
    file that is new or has changed is read again.

    Args:
        path: the file.
        columns: the other columns to read.
        pixels: the column of grey values.
        cache_dir: folder of the caches; ``FER_LAB_CACHE`` or ``~/.cache/fer_lab`` by default.

    Raises:
        DataError: when the file is missing, is no CSV or lacks a column, or the cache cannot be
            written.
    """
    key = _key(path, [pixels, *columns])
    caches = default_cache() if cache_dir is None else Path(cache_dir).expanduser()
    folder = caches / "pixels" / f"{path.stem}-{key}"
    opened = _open(folder, path.name)
    if opened is None:
        _unpack(path, columns, pixels, folder)
        opened = _open(folder, path.name)
    if opened is None:
        raise DataError("the unpacked pixels are not whole", where=folder, hint="delete the folder")
    return opened


def grey_values(cells: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Texts of 48 × 48 whole numbers from 0 to 255 as images.

    Returns:
        The images ``[N, 48, 48]`` (black where the text is another), and which texts are wrong.
    """
    count = SIDE * SIDE
    encoded = [cell.encode() + b" " for cell in cells]
    images = np.zeros((len(encoded), count), dtype=np.uint8)
    if not encoded:
        return images.reshape(-1, SIDE, SIDE), np.zeros(0, dtype=bool)
    begins = np.cumsum([0, *map(len, encoded[:-1])])
    characters = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    figures = characters - np.uint8(ord("0"))
    is_figure = figures < 10
    wrong = np.logical_or.reduceat(~is_figure & ~np.isin(characters, _BLANKS), begins)
    before = np.r_[False, is_figure[:-1]]
    starts = is_figure & ~before
    numbers_in = np.add.reduceat(starts, begins, dtype=np.int64)
    # Every text ends with a blank, so that every number ends where a blank follows.
    last = np.flatnonzero(before & ~is_figure) - 1
    length = last - np.flatnonzero(starts) + 1
    values = figures[last].astype(np.int16)
    for place, weight in ((1, 10), (2, 100)):
        values += np.where(length > place, weight * figures[last - place].astype(np.int16), 0)
    row = np.repeat(np.arange(len(encoded)), numbers_in)
    wrong |= numbers_in != count
    wrong[row[(values > 255) | (length > 3)]] = True
    images[~wrong] = values[~wrong[row]].reshape(-1, count)
    return images.reshape(-1, SIDE, SIDE), wrong


def _key(path: Path, columns: list[str]) -> str:
    """What the content depends on."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", where=path) from error
    described = json.dumps(
        [_FORMAT, str(path.absolute()), status.st_size, status.st_mtime_ns, columns]
    )
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _open(folder: Path, name: str) -> PixelCsv | None:
    """What a folder of the cache holds, None when it is not there or not whole."""
    array = folder / "images.npy"
    try:
        content = str(json.loads((folder / "content.json").read_text())["content"])
        table = pd.read_parquet(folder / "rows.parquet").set_index("line")
        wrong = table.pop("wrong").to_numpy(dtype=bool)
        shape = np.load(array, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    if shape != (len(table), SIDE, SIDE):
        return None
    numbers = pd.Series(np.arange(len(table)), table.index).astype("str")
    return PixelCsv(table, f"{name}#" + numbers, wrong, PixelReader(array, content))


def _unpack(path: Path, columns: Sequence[str], pixels: str, folder: Path) -> None:
    """Read the file into a folder of the cache: under a temporary name, renamed when whole.

    Two processes that unpack the same file do so twice; the first one's folder stays.
    """
    tables, images = [], [np.empty((0, SIDE, SIDE), dtype=np.uint8)]
    for part in read_list(path, [*columns, pixels], rows=_ROWS):
        values, wrong = grey_values(part[pixels].tolist())
        for line in part.index[wrong][:3]:
            _log.warning("%s: %s, line %s", WRONG_PIXELS, path, line)
        images.append(values)
        tables.append(part[list(columns)].assign(wrong=wrong, line=part.index))
    array = np.concatenate(images)
    table = pd.concat(tables) if tables else pd.DataFrame(columns=[*columns, "wrong", "line"])
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        np.save(temporary / "images.npy", array)
        table.to_parquet(temporary / "rows.parquet", index=False)
        digest = hashlib.sha256(array.data).hexdigest()[:16]
        write_json(temporary / "content.json", {"content": digest})
        temporary.chmod(0o755)
        if _open(folder, path.name) is None:
            shutil.rmtree(folder, ignore_errors=True)
            try:
                temporary.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
    except OSError as error:
        raise DataError(
            f"the unpacked pixels cannot be written: {error.strerror or error}",
            where=folder.parent,
            hint="free some space, or choose another folder: FER_LAB_CACHE=…",
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
