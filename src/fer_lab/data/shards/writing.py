"""A dataset written into shards: tar files in WebDataset's layout, a table and an index beside.

``000000017.jpg`` is a file as it was, byte for byte; ``000000017.json`` says what the manifest says
of it, and ``000000017.regions.png`` is its region mask. Faces that are drawn become PNGs.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_lab.data.assets import ARRAY_SHAPES, assets
from fer_lab.data.pixels.decoding import FORMATS
from fer_lab.data.pixels.masks import COLUMN as MASK_PATH
from fer_lab.data.pixels.masks import decode_mask
from fer_lab.data.progress import track
from fer_lab.data.schema import SPLITS
from fer_lab.data.shards import index as shard_index
from fer_lab.data.shards.index import Index, StoredFile
from fer_lab.data.shards.reader import MASK_PLACE, MEMBER, PLACE, ShardReader
from fer_lab.errors import ConfigError, DataError
from fer_lab.files import file_digest, write_json

_REGIONS: Final = "regions.png"
_SUFFIXES: Final = {"PNG": "png", "BMP": "bmp", "TIFF": "tif", "WEBP": "webp", "PPM": "ppm"}


def write_shards(
    manifest: pd.DataFrame,
    folder: Path,
    *,
    shard_size: int,
    image_size: int,
    grouped_by: pd.Series | None = None,
    seed: int = 1,
    dropped: Mapping[str, int] | None = None,
) -> Index:
    """Write one dataset's rows into shards.

    Rows are mixed before they are written, so that a shard is a sample of its split: a training
    mixes no further than a few shards. Splits lie in shards of their own.

    Args:
        manifest: rows whose images can be used.
        folder: where to; must not be there, and is there only when it is whole.
        shard_size: of the files in a shard, in bytes; the last one of a shard goes beyond it.
        image_size: height and width of faces that are no files, in pixels.
        grouped_by: the split that decides which rows lie together; that of the manifest by
            default. What is stored is always the manifest's.
        seed: of the mixing.
        dropped: rows set aside before, by reason.

    Raises:
        ConfigError: when the folder is there, or the rows are of several datasets.
        DataError: when a file cannot be read any more.
        OSError: when the disk is full.
    """
    names = [str(name) for name in manifest["dataset"].unique()]
    if len(names) != 1:
        raise ConfigError(
            f"shards hold one dataset, not {len(names)}",
            where=f"dataset=[{','.join(names)}]",
            hint="write each into a folder of its own",
        )
    if isinstance(assets(manifest).readers.get(names[0]), ShardReader):
        raise ConfigError(
            "these faces are in shards already",
            where=names[0],
            hint="copy the folder of the shards",
        )
    refuse_existing(folder)
    group = manifest["split"] if grouped_by is None else grouped_by
    codes = group.astype("str").map(SPLITS.index).to_numpy()
    mixed = np.random.default_rng(seed).permutation(len(manifest))
    order = mixed[np.argsort(codes[mixed], kind="stable")]
    rows = manifest.iloc[order].reset_index(drop=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        writing = _Writing(rows, temporary, image_size)
        writing.write(group.to_numpy(dtype=object)[order], shard_size)
        index = writing.finish(dropped or {})
        temporary.chmod(0o755)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return index


def refuse_existing(folder: Path) -> None:
    """Keep what is there.

    Raises:
        ConfigError: when something is.
    """
    if folder.exists():
        raise ConfigError(
            "the folder for the shards is there already",
            where=folder,
            hint="name another: output=FOLDER",
        )


class _Writing:
    """Rows on their way into a folder.

    Args:
        rows: in the order of the shards.
        folder: an empty one.
        image_size: as for :func:`write_shards`.
    """

    def __init__(self, rows: pd.DataFrame, folder: Path, image_size: int) -> None:
        self._folder = folder
        self._image_size = image_size
        beside = assets(rows)
        self._dataset = str(rows["dataset"].iloc[0])
        self._reader = beside.readers.get(self._dataset)
        self._paths = rows["path"].tolist()
        self._masks = rows[MASK_PATH].tolist() if MASK_PATH in rows else None
        self._table = rows.drop(columns=["path", MASK_PATH, *ARRAY_SHAPES], errors="ignore")
        self._table.attrs = {}
        self._cells = {str(name): self._table[name].tolist() for name in self._table}
        # Entries of the rows by array; a row without one has None.
        self._entries: dict[str, list[NDArray[np.float32] | None]] = {
            name: [beside.arrays[name][own] if own >= 0 else None for own in rows[name]]
            for name in ARRAY_SHAPES
            if name in rows and name in beside.arrays
        }
        self._shards: list[StoredFile] = []
        self._checksums: dict[str, int] = {}
        self._places: dict[str, tuple[int, int, int, int]] = {}

    def write(self, splits: NDArray[np.object_], shard_size: int) -> None:
        """Write every shard; neighbouring rows of one split share some."""
        numbers = track(range(len(splits)), total=len(splits), description="writing shards")
        place = str(self._folder).replace("%", "%%")
        for split, mine in groupby(numbers, key=lambda number: splits[number]):
            with _shard_writer()(
                f"{place}/{split}-%05d.tar",
                maxsize=shard_size,
                maxcount=len(splits),
                post=self._note,
                verbose=0,
                encoder=False,
                mtime=0,
            ) as writer:
                for number in mine:
                    writer.write(self._sample(number))

    def finish(self, dropped: Mapping[str, int]) -> Index:
        """Write the table, the arrays and the index."""
        table = self._table
        arrays = {}
        for name, entries in self._entries.items():
            has = np.array([each is not None for each in entries])
            table[name] = np.where(has, np.cumsum(has) - 1, -1)
            array = np.stack([np.zeros(ARRAY_SHAPES[name])] + [e for e in entries if e is not None])
            np.save(self._folder / f"{name}.npy", array[1:].astype(np.float32), allow_pickle=False)
            arrays[name] = _stored(self._folder / f"{name}.npy")
        keys = [_key(number) for number in range(len(table))]
        images = {name.partition(".")[0]: name for name in self._places if name.count(".") == 1}
        table[MEMBER] = [images[key] for key in keys]
        table[list(PLACE)] = np.array([self._places[images[key]] for key in keys])
        masks = [self._places.get(f"{key}.{_REGIONS}", (0, 0, 0, 0))[1:] for key in keys]
        table[list(MASK_PLACE)] = np.array(masks)
        table.to_parquet(self._folder / shard_index.TABLE, index=False)
        index = Index(
            dataset=self._dataset,
            faces=len(table),
            shards=tuple(self._shards),
            table=_stored(self._folder / shard_index.TABLE),
            arrays=arrays,
            dropped=dict(dropped),
        )
        write_json(self._folder / shard_index.FILE, index.content())
        return index

    def _note(self, name: str) -> None:
        """Where the members of a shard lie that has been written."""
        with tarfile.open(name, "r:") as members:
            for member in members:
                if member.name in self._checksums:
                    checksum = self._checksums.pop(member.name)
                    place = (len(self._shards), member.offset_data, member.size, checksum)
                    self._places[member.name] = place
        self._shards.append(_stored(Path(name)))

    def _sample(self, number: int) -> dict[str, Any]:
        """What webdataset writes for a row."""
        mask = None
        if self._reader is None:
            content = _file(self._paths[number])
            if self._masks is not None and isinstance(self._masks[number], str):
                mask = decode_mask(self._masks[number])
        else:
            drawn = self._reader.read(self._paths[number], self._image_size)
            content, mask = _png(drawn.image), drawn.regions
            if drawn.landmarks is not None:
                none: list[NDArray[np.float32] | None] = [None] * len(self._paths)
                self._entries.setdefault("landmarks", none)[number] = drawn.landmarks
        parts = {_suffix(content): content}
        if mask is not None:
            parts[_REGIONS] = _png(mask)
        key = _key(number)
        self._checksums |= {f"{key}.{name}": zlib.crc32(part) for name, part in parts.items()}
        said = {
            name: None if pd.isna(cells[number]) else cells[number]
            for name, cells in self._cells.items()
        }
        for name, entries in self._entries.items():
            entry = entries[number]
            said[name] = None if entry is None else np.round(entry.astype(np.float64), 3).tolist()
        text = json.dumps(said, ensure_ascii=False)
        return {"__key__": key, "json": text.encode(), **parts}


def _key(number: int) -> str:
    return f"{number:09d}"


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"an image cannot be read: {error.strerror}",
            where=path,
            hint="it was there when the dataset was read; bring it back or start anew without it",
        ) from error


def _suffix(content: bytes) -> str:
    """The usual suffix of an image's format, whatever its file was called."""
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        return _SUFFIXES.get(image.format or "", "jpg")


def _png(image: NDArray[np.uint8]) -> bytes:
    content = BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def _stored(path: Path) -> StoredFile:
    return StoredFile(path.name, path.stat().st_size, file_digest(path))


def _shard_writer() -> Any:
    try:
        from webdataset.writer import ShardWriter
    except ImportError as error:
        raise ConfigError(
            "webdataset is not installed, which writes shards",
            hint="pip install 'fer-lab[stream]'",
        ) from error
    return ShardWriter
