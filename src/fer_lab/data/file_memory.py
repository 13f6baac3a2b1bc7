"""What was found by looking at a file once, remembered until the file changes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_lab.data.threads import map_in_threads
from fer_lab.files import atomic_path

_STATE = ("size", "mtime_ns")

_log = logging.getLogger(__name__)


def look_up(
    items: pd.DataFrame,
    look: Callable[..., tuple[Any, ...]],
    types: Mapping[str, str],
    *,
    memory: Path,
    description: str,
    threads: int | None = None,
    certain: Callable[[pd.DataFrame], pd.Series] | None = None,
) -> pd.DataFrame:
    """Look at every file that has not been looked at as it is now.

    A file is known by path, size and modification time. What was found is kept also when the
    work is interrupted.

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

    Returns:
        The items whose file is there, with what was found, numbered anew.
    """
    key = [*map(str, items.columns), *_STATE]
    stats = [_stat(path) for path in items["path"]]
    exists = np.array([stat is not None for stat in stats], dtype=bool)
    there = items[exists].reset_index(drop=True).astype("str")
    for name in _STATE:
        values = [getattr(stat, f"st_{name}") for stat in stats if stat is not None]
        there[name] = np.array(values, dtype=np.int64)
    known = there.merge(_remembered(memory, key, types), on=key, how="left", indicator="seen")
    is_new = (known.pop("seen") == "left_only").to_numpy()
    new = known.loc[is_new, key].reset_index(drop=True)
    cells = list(zip(*(new[name].tolist() for name in items.columns), strict=True))
    found: list[tuple[Any, ...]] = []
    try:
        found.extend(
            map_in_threads(
                lambda item: look(*item), cells, description=description, threads=threads
            )
        )
    finally:
        table = pd.DataFrame(found, columns=list(types)).astype(dict(types))
        learnt = pd.concat([new.iloc[: len(found)], table], axis=1)
        kept = learnt if certain is None else learnt[certain(learnt)]
        _remember(kept, memory, key, types)
    parts = [part for part in (known[~is_new], learnt) if len(part)]
    if not parts:
        return known.astype(dict(types))
    return pd.concat(parts, ignore_index=True).astype(dict(types))


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 (half the time of Path.stat, for each of many files)
    except OSError:
        return None


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
        _log.warning("what was learnt about image files is not kept: %s", error)
