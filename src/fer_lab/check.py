"""The checking task: what a dataset's folder holds, what is wrong with it, what is there twice."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from fer_lab.configuration import refuse_shared_root
from fer_lab.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from fer_lab.data.splitting.selection import Selection
    from fer_lab.report.check_summary import Findings

log = logging.getLogger(__name__)


def check(cfg: DictConfig, folder: Path) -> Findings:
    """Look at a dataset as a training with the same options would see it.

    Args:
        cfg: the composed configuration of ``conf/check.yaml``.
        folder: where the CSV files go.

    Raises:
        DataError: for data that are not as promised, or, with ``strict``, for leakage; the files
            are written and the tables printed by then.
        ConfigError: for an option that cannot work.
    """
    from rich.console import Console

    from fer_lab.report.check_summary import check_summary, leaks

    findings = examine(cfg)
    names = ("counts", "dropped", "duplicates", "unreadable", "unmatched")
    for name in names:
        _write(getattr(findings, name), folder / f"{name}.csv")
    console = Console()
    console.print(check_summary(findings))
    written = ", ".join(f"{name}.csv" for name in names)
    console.print(f"written: {written}\n  in {folder}", soft_wrap=True, highlight=False)
    if cfg.strict and len(findings.leakage):
        raise DataError(
            "the splits are not separate: " + "; ".join(leaks(findings.leakage)),
            where=folder / "duplicates.csv",
            hint="remove the doubles (across_splits is True there), or check without strict",
        )
    return findings


def examine(cfg: DictConfig) -> Findings:
    """Read, verify, choose, count and compare; nothing is printed or written but a bar."""
    from fer_lab.data.assets import assets
    from fer_lab.data.census import census, reasons
    from fer_lab.data.loading import choose_rows
    from fer_lab.data.pixels.packed import default_cache
    from fer_lab.data.splitting.selection import plain
    from fer_lab.data.splitting.split_options import Split
    from fer_lab.data.synthetic.reader import SyntheticReader
    from fer_lab.report.check_summary import Findings

    _refuse(cfg)
    refuse_shared_root(cfg)
    place = cfg.data.cache_dir
    cache = default_cache() if place is None else Path(place).expanduser()
    chosen = choose_rows(
        {name: options or {} for name, options in plain(cfg.dataset.sources).items()},
        classes=plain(cfg.classes),
        target=cfg.target,
        attributes=plain(cfg.attributes),
        split=Split.of(plain(cfg.split)),
        test_split=Split.of(plain(cfg.test_split), "test_split"),
        cache_dir=cache,
        verify=True,
        harmonise=plain(cfg.data.harmonise),
        annotations=plain(cfg.data.annotations),
    )
    selection = chosen.selection
    for note in selection.notes:
        log.info("%s", note)
    for warning in selection.warnings:
        log.warning("%s", warning)
    rows = _used(selection)
    outside = {"in no split, or outside split.where": len(selection.manifest) - len(rows)}
    readers = assets(rows).readers.items()
    # Synthetic faces are all different.
    synthetic = [name for name, reader in readers if isinstance(reader, SyntheticReader)]
    drawn = rows["dataset"].isin(synthetic).to_numpy()
    files = rows[~drawn].reset_index(drop=True)
    duplicates, leaks, crowded = _compare(files, cache, cfg.radius)
    return Findings(
        counts=census(rows, chosen.classes, selection.groups),
        dropped=reasons({**chosen.dropped, **outside}),
        duplicates=duplicates,
        unreadable=chosen.inspected.unreadable,
        unmatched=assets(selection.manifest).unmatched,
        leakage=leaks,
        drawn=int(drawn.sum()),
        crowded=crowded,
    )


def _used(selection: Selection) -> pd.DataFrame:
    """The rows that a run would learn from, watch and test on."""
    import numpy as np

    used = np.sort(np.concatenate([selection.train, selection.val, selection.test]))
    return selection.manifest.iloc[used].reset_index(drop=True)


def _refuse(cfg: DictConfig) -> None:
    if not isinstance(cfg.strict, bool):
        raise ConfigError(f"strict={cfg.strict} is neither true nor false", where="strict")
    radius = cfg.radius
    if radius is not None and (type(radius) is not int or not 0 <= radius <= 16):
        raise ConfigError(
            f"radius={radius} is no number of bits from 0 to 16",
            where="radius",
            hint="0 takes equal hashes alone, 6 is usual, null looks for exact duplicates only",
        )


def _compare(
    rows: pd.DataFrame, cache: Path, radius: int | None
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """The duplicates among files, their leakage, and how many were not compared with all."""
    import numpy as np

    from fer_lab.data.pixels.duplicates import find_duplicates, leakage
    from fer_lab.data.pixels.hashing import hash_faces

    contents, hashes, hashed = hash_faces(rows, cache)
    if radius is None:
        hashed = np.zeros_like(hashed)
    found, crowded = find_duplicates(contents, hashes, hashed, radius or 0)
    columns = ["split", "label", "dataset", "id", "path"]
    named = rows.iloc[found["row"].to_numpy()][columns].reset_index(drop=True)
    named.attrs = {}
    for name in ("split", "dataset"):
        named[name] = named[name].astype("str")
    found = found.drop(columns="row").join(named)
    splits = found.groupby(["kind", "group"])["split"].transform("nunique")
    found.insert(3, "across_splits", splits > 1)
    return found, leakage(found), int(crowded.sum())


def _write(table: pd.DataFrame, path: Path) -> None:
    from fer_lab.files import atomic_path

    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
