"""The packed cache: images of one size in memory-mapped arrays, drawn or decoded once.

A folder is built under a temporary name and renamed when it is whole, so that a folder with a
key for its name is whole. Where the file system has locks, a second builder waits for the first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import PIL
from numpy.typing import NDArray

from fer_lab.data.assets import ARRAY_SHAPES, Reader, assets
from fer_lab.data.pixels.decoding import CANNOT_OPEN, MISSING, REASONS
from fer_lab.data.pixels.file_memory import file_stamps
from fer_lab.data.pixels.images import WIDENING, FileImages, Pixels, Rows
from fer_lab.data.pixels.masks import COLUMN as MASK_PATH
from fer_lab.data.pixels.masks import mask_stamps
from fer_lab.data.pixels.opencv import opencv
from fer_lab.data.pixels.packable import FINDINGS, DrawnFaces, Faces, FileFaces
from fer_lab.data.pixels.packing import Job, draw_in_parallel
from fer_lab.data.progress import track
from fer_lab.errors import ConfigError, DataError
from fer_lab.files import write_json

_log = logging.getLogger(__name__)

# Part of every key: raise it when the files of the cache change their form.
_FORMAT: Final = 2


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
        self._findings = np.asarray(arrays[FINDINGS]) if FINDINGS in arrays else None
        if self._findings is not None and not (self._findings[:, 3] == 1).any():
            self._regions = None

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
        """Whether there are region masks that can be used."""
        return self._regions is not None

    @property
    def has_landmarks(self) -> bool:
        """Whether there are landmarks."""
        return self._landmarks is not None

    @property
    def findings(self) -> NDArray[np.int32] | None:
        """What decoding each row's files gave, None where there are no files, int32 ``[N, 4]``.

        Width and height of the upright image, the place in ``decoding.REASONS`` of what keeps it
        from being used (its pixels are then black), and 1 for a region mask that can be used, 0
        for one that cannot, -1 where there is none.
        """
        return self._findings

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
    """Open the packed images of some rows, making them when that was not done before.

    Image files are known by path, size and modification time; one that cannot be used is noted
    in :attr:`PackedImages.findings` and keeps nobody else from being packed.

    Args:
        manifest_rows: rows of one dataset; row n is row n of the result.
        size: height and width in pixels.
        cache_dir: folder of the caches.

    Raises:
        ConfigError: when the rows are of several datasets, or there are none.
        DataError: when the cache cannot be written.
    """
    datasets = manifest_rows["dataset"].unique()
    if len(datasets) != 1:
        raise ConfigError(
            "only the rows of one dataset can be packed",
            where=", ".join(map(str, datasets)) or "no rows",
        )
    faces, key = _faces(manifest_rows, assets(manifest_rows).readers.get(datasets[0]), size)
    plain = re.sub(r"[^\w-]+", "_", str(datasets[0]))  # a name may be anything, and lead anywhere
    folder = Path(cache_dir).expanduser() / "packed" / f"{plain}-{size}-{key}"
    paths = manifest_rows["path"]
    try:
        return _open(folder, paths)
    except DataError:
        pass
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _one_builder(folder) as alone:
            if alone:
                _clear(folder, paths)
            if not folder.exists():
                _build(folder, faces, size)
    except OSError as error:
        raise DataError(
            f"the packed images cannot be written: {error.strerror or error}",
            where=folder.parent,
            hint="free some space, choose another folder (FER_LAB_CACHE=… or data.cache_dir=…)"
            " or, for image files, data.cache=none",
        ) from error
    return PackedImages(folder)


def _faces(rows: pd.DataFrame, reader: Reader | None, size: int) -> tuple[Faces, str]:
    """What is to be packed, and a hash of all that its content depends on."""
    paths = [str(path) for path in rows["path"]]
    settings: list[object] = [_FORMAT, reader.key() if reader else "files", size, paths]
    faces: Faces
    if reader is not None:
        faces = DrawnFaces(reader, paths)
    else:
        faces = FileFaces(FileImages(rows, size))
        # Decoders and filters of other versions may give other pixels.
        settings += [WIDENING, PIL.__version__, opencv().__version__, _digest(file_stamps(paths))]
        if MASK_PATH in rows:
            masks = rows[MASK_PATH].fillna("").astype("str").tolist()
            settings += [masks, _digest(mask_stamps(masks))]
        for name in ARRAY_SHAPES:
            if name in rows and name in assets(rows).arrays:
                own = rows[name].to_numpy()
                entries = assets(rows).arrays[name][own[own >= 0]]
                settings.append([name, _digest(own >= 0), _digest(entries)])
    return faces, hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


def _digest(array: NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _open(folder: Path, paths: pd.Series) -> PackedImages:
    """The packed images, unless a file that could not be opened when they were made now can be."""
    images = PackedImages(folder)
    if images.findings is not None:
        closed = [REASONS.index(reason) for reason in (MISSING, CANNOT_OPEN)]
        rows = np.flatnonzero(np.isin(images.findings[:, 2], closed))
        if any(_opens(paths.iloc[row]) for row in rows):
            raise DataError("an image that could not be opened is back", where=folder)
    return images


def _opens(path: str) -> bool:
    try:
        return Path(path).is_file() and os.access(path, os.R_OK)
    except (OSError, ValueError):  # names that no file can have
        return False


def _clear(folder: Path, paths: pd.Series) -> None:
    """Remove what killed builders left, and a folder that was damaged later."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    if folder.exists():
        try:
            _open(folder, paths)
        except DataError:
            shutil.rmtree(folder)


def _build(folder: Path, faces: Faces, size: int) -> None:
    """Pack all rows under a temporary name, then rename."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        names = _allocate(temporary, faces, size)
        job = Job(faces, 0, size, temporary)
        drawn = (1 for count in draw_in_parallel(job) for _ in range(count))
        for _ in track(drawn, total=len(faces), description=f"packing {size} px faces"):
            pass
        for name in names:
            with (temporary / f"{name}.npy").open("rb+") as file:
                os.fsync(file.fileno())
        write_json(temporary / "content.json", {"rows": len(faces), "size": size, "arrays": names})
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            # Without locks another builder may have been first; its folder is as good.
            if not folder.exists():
                raise
        _log.info("packed %d faces into %s", len(faces), folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _allocate(folder: Path, faces: Faces, size: int) -> list[str]:
    """Make the arrays at full size, with their space on disk reserved; gives their names.

    A map into space that turns out to be missing would end the process with a bus error.
    """
    blank = faces.blank(size)
    for name, part in blank.items():
        file = folder / f"{name}.npy"
        shape = (len(faces), *part.shape)
        np.lib.format.open_memmap(file, mode="w+", dtype=part.dtype, shape=shape).flush()
        if hasattr(os, "posix_fallocate"):
            with file.open("rb+") as handle:
                os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)
    return list(blank)


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
