"""Any dataset in shards, as ``fer-lab shards`` writes them: tar files in a folder or at a URL.

Features: those of the dataset they were written from, with region masks and landmarks where it has
them. Classes: its own. Splits: its own, or drawn as for files. The guide: ``docs/shards.md``.

Citation: the dataset's.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import Assets
from fer_lab.data.pixels.packed import default_cache
from fer_lab.data.schema import validate
from fer_lab.data.shards import index as shard_index
from fer_lab.data.shards.cache import ShardCache, ShardFolder
from fer_lab.data.shards.index import Index, StoredFile
from fer_lab.data.shards.reader import MASK_PLACE, MEMBER, PLACE, ShardReader, shard_paths
from fer_lab.data.shards.transfer import checked_url, download, is_url
from fer_lab.data.sources.layout import find_root
from fer_lab.errors import ConfigError, DataError
from fer_lab.files import atomic_path, file_digest

TITLE: Final = "the folder of shards"
EXPECTED: Final = f"{shard_index.FILE} and what it names, as `fer-lab shards` writes them"

_MEMBER_NAME: Final = r"[0-9]+\.(jpg|png|bmp|tif|webp|ppm)"


def read(
    root: str | os.PathLike[str] | None,
    *,
    window: int = 4,
    ahead: int = 2,
    cache_gb: float = 4.0,
    cache_dir: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read the manifest of a dataset in shards; pixels are read when they are asked for.

    Args:
        root: folder or URL of the shards.
        window: how many shards a training reads from at a time.
        ahead: how many further shards are fetched before they are needed.
        cache_gb: the most that shards of a URL take on this machine's disk, in 10⁹ bytes.
        cache_dir: folder of the caches; ``FER_LAB_CACHE`` or ``~/.cache/fer_lab`` by default.

    Raises:
        ConfigError: for an option that cannot work, such as a cache without room for a window.
        DataError: when there are no shards, or they are not those of their index.
    """
    for name, value, least in (("window", window, 1), ("ahead", ahead, 0)):
        if type(value) is not int or value < least:
            raise ConfigError(
                f"{name}={value} is no whole number from {least}", where=f"dataset.{name}"
            )
    caches = default_cache() if cache_dir is None else Path(cache_dir).expanduser()
    files: ShardFolder | ShardCache
    if root is not None and is_url(root):
        place = checked_url(str(root))
        index = _fetched_index(place)
        _refuse_small_cache(index, window, cache_gb)
        files = ShardCache(place, caches / "shards", round(cache_gb * 1e9))
        stored = {
            each.name: _fetched(place, each, caches / "shard_tables") for each in _beside(index)
        }
    else:
        folder = find_root(root, TITLE, EXPECTED)
        place = str(folder)
        index = _local_index(folder)
        _check_folder(folder, index)
        files = ShardFolder(folder)
        stored = {each.name: folder / each.name for each in _beside(index)}
    table = _table(index, stored[index.table.name], place)
    arrays = {name: _array(stored[each.name]) for name, each in index.arrays.items()}
    manifest = table.drop(columns=[MEMBER, *PLACE, *MASK_PLACE])
    manifest["path"] = shard_paths(place, index, table)
    manifest.attrs["assets"] = Assets(arrays=arrays)
    manifest = validate(manifest)
    # The reader keeps its own rows; a frame that held itself would never go away.
    own = manifest.copy(deep=False)
    own.attrs = {"assets": Assets(arrays=arrays)}
    reader = ShardReader(index, files, own, table, window=window, ahead=ahead)
    manifest.attrs["assets"] = Assets(
        arrays=arrays,
        readers={index.dataset: reader},
        dropped=index.dropped,
        roots={index.dataset: place},
    )
    return manifest


def _beside(index: Index) -> list[StoredFile]:
    return [index.table, *index.arrays.values()]


def _fetched_index(place: str) -> Index:
    address = f"{place}/{shard_index.FILE}"
    content = BytesIO()
    download(address, content)
    return shard_index.parse(content.getvalue(), address)


def _local_index(folder: Path) -> Index:
    path = folder / shard_index.FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"this is no folder of shards: {error.strerror}",
            where=path,
            hint=f"expected: {EXPECTED}",
        ) from error
    return shard_index.parse(content, str(path))


def _fetched(place: str, stored: StoredFile, folder: Path) -> Path:
    """A table or an array of a URL on the local disk, named by its content."""
    path = folder / f"{stored.sha256}{Path(stored.name).suffix}"
    if not path.exists():
        with atomic_path(path) as temporary, temporary.open("r+b") as file:
            download(f"{place}/{stored.name}", file, stored)
    return path


def _check_folder(folder: Path, index: Index) -> None:
    """All files are there in their sizes; the small ones with their content."""
    wrong = []
    for stored in (*_beside(index), *index.shards):
        path = folder / stored.name
        if not path.is_file():
            wrong.append(f"{stored.name} is missing")
        elif (size := path.stat().st_size) != stored.size:
            wrong.append(f"{stored.name} has {size} bytes, not {stored.size}")
    wrong += [
        f"{stored.name} has another content"
        for stored in _beside(index)
        if not wrong and file_digest(folder / stored.name) != stored.sha256
    ]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise DataError(
            "the shards are not those of their index: " + ", ".join(wrong[:3]) + more,
            where=folder,
            hint="copy the missing files again, or write the shards anew",
        )


def _refuse_small_cache(index: Index, window: int, cache_gb: float) -> None:
    if isinstance(cache_gb, bool) or not isinstance(cache_gb, int | float):
        raise ConfigError(f"cache_gb={cache_gb} is no number", where="dataset.cache_gb")
    largest = max(shard.size for shard in index.shards)
    # One more than the window: the next shard comes before the last batch of another is read.
    needed = min(window + 1, len(index.shards)) * largest
    if cache_gb * 1e9 < needed:
        raise ConfigError(
            f"{min(window + 1, len(index.shards))} shards of {largest / 1e9:.3g} GB do not fit a"
            f" cache of {cache_gb} GB",
            where="dataset.cache_gb",
            hint=f"at least dataset.cache_gb={np.ceil(needed / 1e7) / 100:.2f}, for each process of"
            " a machine; or a smaller dataset.window, or smaller shards",
        )


def _table(index: Index, path: Path, place: str) -> pd.DataFrame:
    """The table of the shards, with every face inside its shard.

    Raises:
        DataError: when it is not one.
    """
    try:
        table = pd.read_parquet(path)
        places = table[[*PLACE, *MASK_PLACE]].astype("int64")
        sizes = np.array([shard.size for shard in index.shards])
        whole = (
            len(table) == index.faces > 0
            and bool(places["shard"].between(0, len(sizes) - 1).all())
            and bool((places >= 0).all(axis=None))
            and bool(table[MEMBER].astype("str").str.fullmatch(_MEMBER_NAME).all())
            and bool((table["dataset"].astype("str") == index.dataset).all())
        )
        for offset, size in ((PLACE[1], PLACE[2]), MASK_PLACE[:2]):
            end = places[offset] + places[size]
            whole = whole and bool((end.to_numpy() <= sizes[places["shard"]]).all())
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"the table of the shards cannot be read: {error}",
            where=f"{place}/{index.table.name}",
            hint="write the shards anew with `fer-lab shards`",
        ) from error
    if not whole:
        raise DataError(
            "the table of the shards speaks of faces that are not in them",
            where=f"{place}/{index.table.name}",
            hint="write the shards anew with `fer-lab shards`",
        )
    return table


def _array(path: Path) -> NDArray[np.float32]:
    try:
        array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    except (OSError, ValueError) as error:
        raise DataError(f"an array of the shards cannot be read: {error}", where=path) from error
