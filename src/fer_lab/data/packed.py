"""The packed cache: images of one size in memory-mapped arrays, drawn once.

A folder is built under a temporary name and renamed when it is whole, so that a folder with a
key for its name is whole. Where the file system has locks, a second builder waits for the first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import Reader, assets
from fer_lab.data.images import Pixels, Rows
from fer_lab.data.packing import ARRAYS, Job, draw_in_parallel
from fer_lab.data.progress import track
from fer_lab.errors import ConfigError, DataError
from fer_lab.files import write_json

_log = logging.getLogger(__name__)

# Part of every key: raise it when the files of the cache change their form.
_FORMAT: Final = 1


class PackedImages:
    """Images in a folder of the packed cache.

    Args:
        folder: as :func:`pack` left it.

    Raises:
        DataError: when the folder is not whole.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            arrays = {
                name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in json.loads((folder / "content.json").read_text())["arrays"]
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"the packed images are not whole: {error}", where=folder, hint="delete the folder"
            ) from error
        # Plain arrays over the maps: indexing a memmap costs more than the copy it makes.
        self._images: NDArray[np.uint8] = np.asarray(arrays["images"])
        self._regions = np.asarray(arrays["regions"]) if "regions" in arrays else None
        self._landmarks = np.asarray(arrays["landmarks"]) if "landmarks" in arrays else None

    def __reduce__(self) -> tuple[type[PackedImages], tuple[Path]]:
        """Other processes map the files instead of receiving their content."""
        return type(self), (self.folder,)

    def __len__(self) -> int:
        return len(self._images)

    @property
    def size(self) -> int:
        """Height and width in pixels."""
        return int(self._images.shape[1])

    @property
    def has_regions(self) -> bool:
        """Whether there are region masks."""
        return self._regions is not None

    @property
    def has_landmarks(self) -> bool:
        """Whether there are landmarks."""
        return self._landmarks is not None

    def read(self, rows: Rows) -> Pixels:
        """The pixels of some rows, in their order."""
        return Pixels(
            self._images[rows],
            None if self._regions is None else self._regions[rows],
            None if self._landmarks is None else self._landmarks[rows],
        )


def default_cache() -> Path:
    """Where caches go: ``FER_LAB_CACHE``, or ``~/.cache/fer_lab``."""
    return Path(os.environ.get("FER_LAB_CACHE") or Path.home() / ".cache" / "fer_lab")


def pack(manifest_rows: pd.DataFrame, size: int, cache_dir: str | os.PathLike[str]) -> PackedImages:
    """Open the packed images of some rows, drawing them when that was not done before.

    Args:
        manifest_rows: rows of one dataset which has a reader; row n is row n of the result.
        size: height and width in pixels.
        cache_dir: folder of the caches.

    Raises:
        ConfigError: when the rows are files, or of several datasets.
        DataError: when the cache cannot be written.
    """
    datasets = manifest_rows["dataset"].unique()
    reader = assets(manifest_rows).readers.get(datasets[0]) if len(datasets) == 1 else None
    if reader is None:
        raise ConfigError(
            "only the rows of one dataset that is drawn can be packed",
            where=", ".join(map(str, datasets)) or "no rows",
        )
    paths = [str(path) for path in manifest_rows["path"]]
    key = _key(reader, paths, size)
    folder = Path(cache_dir).expanduser() / "packed" / f"{datasets[0]}-{size}-{key}"
    try:
        return PackedImages(folder)
    except DataError:
        pass
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _one_builder(folder) as alone:
            if alone:
                _clear(folder)
            if not folder.exists():
                _build(folder, reader, paths, size)
    except OSError as error:
        raise DataError(
            f"the packed images cannot be written: {error.strerror or error}",
            where=folder.parent,
            hint="free some space, or choose another folder: FER_LAB_CACHE=… or data.cache_dir=…",
        ) from error
    return PackedImages(folder)


def _key(reader: Reader, paths: list[str], size: int) -> str:
    """What the content depends on."""
    described = json.dumps([_FORMAT, reader.key(), size, paths])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _clear(folder: Path) -> None:
    """Remove what killed builders left, and a folder that was damaged later."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    if folder.exists():
        try:
            PackedImages(folder)
        except DataError:
            shutil.rmtree(folder)


def _build(folder: Path, reader: Reader, paths: list[str], size: int) -> None:
    """Draw all rows under a temporary name, then rename."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        names = _allocate(temporary, reader, paths, size)
        job = Job(reader, paths, range(len(paths)), size, temporary)
        drawn = (1 for count in draw_in_parallel(job) for _ in range(count))
        for _ in track(drawn, total=len(paths), description=f"drawing {size} px faces"):
            pass
        for name in names:
            with (temporary / f"{name}.npy").open("rb+") as file:
                os.fsync(file.fileno())
        write_json(temporary / "content.json", {"rows": len(paths), "size": size, "arrays": names})
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            # Without locks another builder may have been first; its folder is as good.
            if not folder.exists():
                raise
        _log.info("packed %d faces into %s", len(paths), folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _allocate(folder: Path, reader: Reader, paths: list[str], size: int) -> list[str]:
    """Make the arrays at full size, with their space on disk reserved; gives their names.

    A map into space that turns out to be missing would end the process with a bus error.
    """
    first = reader.read(paths[0], size)
    samples = zip(ARRAYS, (first.image, first.regions, first.landmarks), strict=True)
    names = []
    for name, sample in samples:
        if sample is None:
            continue
        file = folder / f"{name}.npy"
        shape = (len(paths), *sample.shape)
        np.lib.format.open_memmap(file, mode="w+", dtype=sample.dtype, shape=shape).flush()
        if hasattr(os, "posix_fallocate"):
            with file.open("rb+") as handle:
                os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)
        names.append(name)
    return names


@contextmanager
def _one_builder(folder: Path) -> Iterator[bool]:
    """Wait until no other process builds the folder; gives whether that is certain.

    The lock goes with the process that holds it, however it ends.
    """
    with (folder.parent / f".lock-{folder.name}").open("w") as file:
        try:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _log.info("waiting for another process, which packs the same faces")
                fcntl.flock(file, fcntl.LOCK_EX)
        except (ImportError, OSError):
            # Neither Windows nor every network file system has these locks.
            yield False
            return
        yield True
