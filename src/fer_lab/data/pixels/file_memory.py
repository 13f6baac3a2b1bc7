"""What was found by looking at a file once, remembered until the file changes."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.threads import map_in_threads
from fer_lab.files import atomic_path

_STATE: Final = ("size", "mtime_ns")
# Seconds after which what was found so far is safe from a process being killed.
_KEEP_EVERY = 60.0

_log = logging.getLogger(__name__)


def file_stamps(paths: Sequence[str]) -> NDArray[np.int64]:
    """Size in bytes and modification time in ns of every file, -1 for none, ``[N, 2]``."""
    found = np.full((len(paths), 2), -1, dtype=np.int64)
    for row, path in enumerate(paths):
        try:
            state = os.stat(path)  # noqa: PTH116 (half the time of Path.stat, for many files)
        except (OSError, ValueError):  # a null character is an error of its own
            continue
        found[row] = state.st_size, state.st_mtime_ns
    return found


def look_up(
    items: pd.DataFrame,
    look: Callable[..., tuple[Any, ...]],
    types: Mapping[str, str],
    *,
    memory: Path,
    description: str,
    threads: int | None = None,
    certain: Callable[[pd.DataFrame], pd.Series] | None = None,
    stamps: Callable[[Sequence[str]], NDArray[np.int64]] = file_stamps,
) -> pd.DataFrame:
    """Look at every file that has not been looked at as it is now.

    A file is known by path, size and modification time. What was found is kept every minute, and
    when the work is interrupted. Of two processes that keep at the same instant one may lose what
    it found, which is then looked at again.

    Args:
        items: what to look at, each once: ``path``, and more columns of text where a file is
            looked at in several ways.
        look: called with the cells of an item, in several threads; gives a cell for each of
            ``types``.
        types: dtype of each column that is found.
        memory: a Parquet file, made when it is not there.
        description: what is being done, for the progress bar.
        threads: how many look at once.
        certain: which rows of what was found are worth keeping; all by default.
        stamps: gives the state of the files by path.

    Returns:
        The items whose file is there, with what was found, numbered anew.
    """
    key = [*map(str, items.columns), *_STATE]
    states = stamps(items["path"].tolist())
    exists = states[:, 0] >= 0
    there = items[exists].reset_index(drop=True).astype("str")
    for column, name in enumerate(_STATE):
        there[name] = states[exists, column]
    known = there.merge(_remembered(memory, key, types), on=key, how="left", indicator="seen")
    is_new = (known.pop("seen") == "left_only").to_numpy()
    new = known.loc[is_new, key].reset_index(drop=True)
    cells = list(zip(*(new[name].tolist() for name in items.columns), strict=True))
    found: list[tuple[Any, ...]] = []

    def keep() -> pd.DataFrame:
        table = pd.DataFrame(found, columns=list(types)).astype(dict(types))
        learnt = pd.concat([new.iloc[: len(found)], table], axis=1)
        _remember(learnt if certain is None else learnt[certain(learnt)], memory, key, types)
        return learnt

    kept = time.monotonic()
    try:
        with warnings.catch_warnings():
            # What decoders say of a file on the way is no finding.
            warnings.simplefilter("ignore")
            for cell in map_in_threads(
                lambda item: look(*item), cells, description=description, threads=threads
            ):
                found.append(cell)
                if time.monotonic() - kept > _KEEP_EVERY:
                    keep()
                    kept = time.monotonic()
    finally:
        learnt = keep()
    parts = [part for part in (known[~is_new], learnt) if len(part)]
    if not parts:
        return known.astype(dict(types))
    return pd.concat(parts, ignore_index=True).astype(dict(types))


def _remembered(memory: Path, key: list[str], types: Mapping[str, str]) -> pd.DataFrame:
    """What earlier looks found; nothing where there is no memory or it cannot be read."""
    columns = [*key, *types]
    try:
        return pd.read_parquet(memory, columns=columns)
    except (OSError, ValueError, KeyError):
        kinds = {name: "int64" if name in _STATE else "str" for name in key} | dict(types)
        return pd.DataFrame({name: pd.Series(dtype=kinds[name]) for name in columns})


def _remember(learnt: pd.DataFrame, memory: Path, key: list[str], types: Mapping[str, str]) -> None:
    """Add to the memory; another process may have added to it meanwhile."""
    if learnt.empty:
        return
    before = _remembered(memory, key, types)
    known = pd.concat([before, learnt]) if len(before) else learnt
    item = [name for name in key if name not in _STATE]
    try:
        with atomic_path(memory) as temporary:
            known.drop_duplicates(item, keep="last").to_parquet(temporary, index=False)
    except OSError as error:
        _log.warning("what was learnt about files is not kept: %s", error)
