"""Manifests remembered: parsed tables, opened as long as nothing they came from has changed.

A folder of the cache holds the table (Parquet), the arrays beside it (``.npy``, opened as memory
maps) and a description. Its name is a hash of the dataset's name and options, the package's own
reading code, and the state of every file a source may have looked at, so that a stale one is
never found.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from fer_lab.data.assets import Assets, assets

_log = logging.getLogger(__name__)

# Part of every key: raise it when the files of the cache change their form.
_FORMAT: Final = 2
# What is read faster than this, in seconds, is read again.
_WORTH = 1.0
# A file changed within this many nanoseconds before reading may change again without a trace.
_SETTLED_NS = 2_000_000_000
# Of an image only its being there goes into a manifest.
_IMAGES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")

Read = Callable[..., pd.DataFrame]


def remembered(name: str, options: Mapping[str, Any], cache_dir: Path, read: Read) -> pd.DataFrame:
    """Read a dataset, or open what an earlier reading of the same files gave.

    Not remembered are datasets without a folder, those whose pixels come from a reader, options
    with wild cards, files that changed a moment ago, and what is read in a second.

    Args:
        name: of the dataset.
        options: of its source; texts that are paths are followed.
        cache_dir: folder of the caches.
        read: called with the name and the options when nothing is remembered.
    """
    started = time.time_ns()
    before = _state(name, options)
    if before is None:
        return read(name, **options)
    key, _ = before
    folder = cache_dir / "manifests" / f"{name}-{key}"
    found = _open(folder)
    if found is not None:
        return found
    clock = time.monotonic()
    manifest = read(name, **options)
    if time.monotonic() - clock >= _WORTH and _is_plain(manifest):
        after = _state(name, options)
        # A change while it was read, or too close to it to be told from one.
        if after is not None and after[0] == key and after[1] < started - _SETTLED_NS:
            _store(manifest, folder)
    return manifest


def _open(folder: Path) -> pd.DataFrame | None:
    """What a folder holds; None where it is not there or not whole."""
    try:
        content = json.loads((folder / "content.json").read_text(encoding="utf-8"))
        manifest = pd.read_parquet(folder / "table.parquet")
        unmatched = pd.read_parquet(folder / "unmatched.parquet")
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in content["arrays"]
        }
        if len(manifest) != content["rows"]:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    manifest.attrs["assets"] = Assets(
        arrays=arrays, dropped=content["dropped"], roots=content["roots"], unmatched=unmatched
    )
    return manifest


def _store(manifest: pd.DataFrame, folder: Path) -> None:
    """Write a manifest under a temporary name, then rename; earlier states of it go."""
    beside = assets(manifest)
    table = manifest.copy(deep=False)
    table.attrs = {}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        _log.warning("the manifest is not remembered: %s", error)
        return
    try:
        table.to_parquet(temporary / "table.parquet", index=False)
        beside.unmatched.to_parquet(temporary / "unmatched.parquet", index=False)
        for name, array in beside.arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        content = {
            "rows": len(manifest),
            "arrays": list(beside.arrays),
            "dropped": beside.dropped,
            "roots": beside.roots,
        }
        (temporary / "content.json").write_text(json.dumps(content), encoding="utf-8")
        for path in temporary.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except (OSError, ValueError, TypeError) as error:
        if not folder.exists():
            _log.warning("the manifest is not remembered: %s", error)
        return
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    same = folder.name.rpartition("-")[0]
    for other in folder.parent.glob(f"{same}-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def _is_plain(manifest: pd.DataFrame) -> bool:
    """Whether all of a manifest can be written: no readers, nothing else beside the table."""
    return (
        set(manifest.attrs) <= {"assets"}
        and not assets(manifest).readers
        and set(vars(assets(manifest))) == set(vars(Assets()))
        and set(vars(Assets())) == {"arrays", "readers", "dropped", "roots", "unmatched"}
    )


def _state(name: str, options: Mapping[str, Any]) -> tuple[str, int] | None:
    """A key of all that a reading depends on and the time (ns) of the last change.

    Gives None where that cannot be told: without a folder, and with wild cards.
    """
    texts = [str(value) for value in _leaves(options) if isinstance(value, str | os.PathLike)]
    root = options.get("root")
    if root is None or any(character in text for text in texts for character in "*?["):
        return None
    place = Path(str(root)).expanduser()
    settings = [_FORMAT, _code(), pd.__version__, name, sorted(options.items()), str(Path.cwd())]
    digest = hashlib.sha256(json.dumps(settings, default=str).encode())
    request = digest.hexdigest()[:8]
    latest = 0
    seen: set[tuple[int, int]] = set()
    for text in sorted(set(texts)):
        given = Path(text).expanduser()
        for path in dict.fromkeys((str(given), str(place / given))):
            for line, changed in _walk(path, seen):
                digest.update(line.encode(errors="surrogateescape"))
                latest = max(latest, changed)
    return f"{request}-{digest.hexdigest()[:16]}", latest


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _walk(path: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, int]]:
    """Every folder, file that is no image, and link below a path, with its last change.

    A folder's own time tells which entries it has. Links are followed; one into a folder that
    was walked through before ends there, so that loops end.
    """
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        yield f"{path}\0absent\n", 0
        return
    latest = max(found.st_mtime_ns, found.st_ctime_ns)
    yield f"{path}\0{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}\n", latest
    place = (found.st_dev, found.st_ino)
    if place in seen:
        return
    try:
        with os.scandir(path) as listed:
            names = sorted(
                entry.name
                for entry in listed
                if entry.is_symlink()
                or entry.is_dir(follow_symlinks=False)
                or not entry.name.lower().endswith(_IMAGES)
            )
    except NotADirectoryError:
        return
    except OSError:
        yield f"{path}\0closed\n", 0
        return
    seen.add(place)
    for name in names:
        yield from _walk(f"{path}/{name}", seen)


@lru_cache(maxsize=1)
def _code() -> str:
    """A hash of the code that reads, so that another version of it reads anew."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
