"""One run's folder as an object, and all runs below a folder as a table."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pandas as pd

from fer_lab.errors import DataError
from fer_lab.report.process import is_alive
from fer_lab.report.region_patches import RegionPatches, read_patches

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from pytorch_lightning import LightningModule

    from fer_lab.explain.merged import Merged

Facts = dict[str, Any]
_T = TypeVar("_T")

# Columns that every row of `runs` has; the headline numbers of the runs follow them.
_CHOICES = ("dataset", "split", "test_split", "model", "mitigation")
_COLUMNS = (
    *("path", "name", "status", "task", *_CHOICES, "seed", "tags"),
    *("started", "ended", "seconds", "fingerprint", "error"),
)


class Run:
    """What one run left behind; each file is read when it is first asked for, and then kept.

    A file that is missing or damaged raises `DataError`. Nothing is unpickled.

    Args:
        path: the run's folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._kept: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def record(self) -> Facts:
        """``run.json``: who ran what, when, with which versions, and how it ended."""
        return self._once("run.json", _read_json, "run.json is written when a run starts")

    @property
    def name(self) -> str:
        """The run's name, or that of its folder."""
        return str(self.record.get("name") or self.path.name)

    @property
    def status(self) -> str:
        """``running``, ``finished``, ``failed`` or ``interrupted``.

        A run that says ``running`` while its process on this host is gone was killed, and counts
        as interrupted; a process on another host cannot be asked and is believed.
        """
        status = str(self.record.get("status", "unreadable"))
        if status == "running" and self.record.get("host") == socket.gethostname():
            alive = is_alive(self.record.get("pid"), _time(self.record.get("started")))
            return "running" if alive else "interrupted"
        return status

    @property
    def config(self) -> DictConfig:
        """The composed configuration, its interpolations unresolved; it calls nothing foreign."""
        from omegaconf import DictConfig, OmegaConf

        from fer_lab.trust import defused

        def read(path: Path) -> DictConfig:
            config = OmegaConf.load(path)
            if not isinstance(config, DictConfig):
                raise ValueError("not a mapping")
            content: Any = defused(OmegaConf.to_container(config, resolve=False))
            return OmegaConf.create(content) if isinstance(content, dict) else config

        return self._once(".hydra/config.yaml", read, "Hydra writes it when a run starts")

    @property
    def predictions(self) -> pd.DataFrame:
        """The test set's predictions: one row per face, names for labels and groups."""
        return self.predictions_of("test")

    def predictions_of(self, split: str) -> pd.DataFrame:
        """The predictions on ``split`` (``"val"`` or ``"test"``)."""
        return self._once(f"predictions/{split}.parquet", pd.read_parquet, _EVALUATE)

    @property
    def metrics(self) -> Facts:
        """The test set's metrics, with intervals and counts; undefined figures are None."""
        return self.metrics_of("test")

    def metrics_of(self, split: str) -> Facts:
        """The metrics on ``split`` (``"val"`` or ``"test"``)."""
        return self._once(f"metrics/{split}.json", _read_json, _EVALUATE)

    @property
    def headline_split(self) -> str | None:
        """The split whose metrics stand for the run: test, else val, else None."""
        splits = ("test", "val")
        return next((s for s in splits if (self.path / "metrics" / f"{s}.json").is_file()), None)

    @property
    def history(self) -> pd.DataFrame:
        """Every logged scalar, one row per epoch."""
        return self._once("metrics/history.csv", pd.read_csv, "it is written after an epoch")

    @property
    def regions(self) -> pd.DataFrame:
        """Explanation statistics, one row per face and region that is present in it."""
        return self._once("explanations/region_ior.parquet", pd.read_parquet, _EXPLAIN)

    @property
    def explanation(self) -> Facts:
        """The means of `regions`, by region and by group, and how they were made."""
        return self._once("explanations/summary.json", _read_json, _EXPLAIN)

    @property
    def patches(self) -> dict[str, RegionPatches]:
        """High-impact patches by region; a region without any is left out."""
        return self._once("explanations/patches.npz", read_patches, _EXPLAIN)

    @property
    def region_differences(self) -> pd.DataFrame:
        """How groups differ in the regions: a row per attribute, pair, figure and region."""
        return self._once("explanations/group_differences.parquet", pd.read_parquet, _EXPLAIN)

    @property
    def intensity(self) -> Facts:
        """Ranks of intensity, and what they are worth where a truth is known."""
        return self._once("explanations/intensity.json", _read_json, _INTENSITY)

    @property
    def supplied(self) -> Facts | None:
        """How maps that people supplied agree with the model's heatmaps; None where none were."""
        name = "explanations/supplied.json"
        return self._once(name, _read_json, _EXPLAIN) if (self.path / name).is_file() else None

    @property
    def merged_splits(self) -> list[str]:
        """The splits of which there are merged heatmaps."""
        folder = self.path / "explanations"
        return [s for s in ("val", "test") if (folder / f"merged_{s}.npz").is_file()]

    def merged_of(self, split: str) -> Merged:
        """The merged heatmaps of ``split``; they are large, and are read anew at each call."""
        from fer_lab.explain.merged_files import read_merged

        return self._read(f"explanations/merged_{split}.npz", read_merged, _MERGED)

    def merged_facts_of(self, split: str) -> Facts:
        """What the merged heatmaps of ``split`` were made of."""
        return self._once(f"explanations/merged_{split}.json", _read_json, _MERGED)

    def checkpoint(self, which: Literal["best", "last"] = "best") -> Path:
        """The path of a checkpoint.

        Raises:
            DataError: if the run has none.
        """
        path = self.path / "checkpoints" / f"{which}.ckpt"
        if not path.is_file():
            raise DataError(
                f"this run has no {which} checkpoint",
                where=path,
                hint="trainings write it after an epoch; a model that is asked leaves none",
            )
        return path

    def model(self, which: Literal["best", "last"] = "best") -> LightningModule:
        """The trained model, on the CPU and in evaluation mode.

        Raises:
            DataError: if there is no checkpoint, no model class is named, or the two do not fit.
        """
        from fer_lab.models.checkpoints import load_checkpoint

        target = self.config.get("model", {}).get("_target_")
        return load_checkpoint(self.checkpoint(which), target)

    def _once(self, name: str, reader: Callable[[Path], _T], hint: str) -> _T:
        if name not in self._kept:
            self._kept[name] = self._read(name, reader, hint)
        kept: _T = self._kept[name]
        return kept

    def _read(self, name: str, reader: Callable[[Path], _T], hint: str) -> _T:
        path = self.path / name
        if not path.is_file():
            raise DataError(f"this run has no {name}", where=path, hint=hint)
        try:
            return reader(path)
        except DataError:
            raise
        except Exception as error:  # every format's reader has its own family of errors
            raise DataError(
                f"{name} cannot be read: {type(error).__name__}: {error}", where=path, hint=hint
            ) from error


_EVALUATE = "it is written when the split has been evaluated"
_EXPLAIN = "it is written at the end of a run with an explain option other than none"
_INTENSITY = "it is written at the end of a run that ranks intensity"
_MERGED = (
    "it is written at the end of a run whose dataset has landmarks, and explain other than none"
)


def load_run(path: str | os.PathLike[str]) -> Run:
    """Open the folder of one run.

    Args:
        path: the folder that holds ``run.json``.

    Raises:
        DataError: if the folder is missing, holds no run, or its record is damaged.
    """
    run = Run(path)
    if not (run.path / "run.json").is_file():
        if not run.path.is_dir():
            raise DataError(
                "there is no such folder",
                where=run.path.absolute(),
                hint="fer_lab.runs('outputs') lists the runs",
            )
        inside = list(_folders(run.path))
        raise DataError(
            "this folder is not a run: it has no run.json",
            where=run.path.absolute(),
            hint=f"choose one of the {len(inside)} runs in it, such as {inside[-1]}"
            if inside
            else "give the folder that holds run.json, such as outputs/<date>/<time>",
        )
    _ = run.record
    return run


def runs(root: str | os.PathLike[str]) -> pd.DataFrame:
    """One row per run found below ``root``, oldest first.

    Args:
        root: a folder such as ``outputs`` or ``multirun``.

    Returns:
        Columns ``path``, ``name``, ``status``, …, then one per headline number. A folder whose
        record is missing or damaged has the status ``unreadable`` and says why in ``error``.

    Raises:
        DataError: if ``root`` is not a folder.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DataError(
            "there is no such folder", where=folder.absolute(), hint="runs are below outputs/"
        )
    rows = [_row(path) for path in _folders(folder)]
    columns = list(dict.fromkeys((*_COLUMNS, *(name for row in rows for name in row))))
    frame = pd.DataFrame(rows, columns=columns)
    for name in ("started", "ended"):
        frame[name] = pd.to_datetime(frame[name], utc=True, errors="coerce", format="ISO8601")
    return frame.sort_values(["started", "path"], ignore_index=True)


def _folders(root: Path) -> Iterator[Path]:
    """Folders with a record or, where it was never written, Hydra's configuration."""
    for folder, names, files in os.walk(root):
        if "run.json" in files or ".hydra" in names:
            names.clear()  # what is inside a run belongs to it
            yield Path(folder)
        names[:] = sorted(name for name in names if not name.startswith("."))


def _row(path: Path) -> Facts:
    run = Run(path)
    row: Facts = dict.fromkeys(_COLUMNS)
    row |= {"path": str(path), "name": path.name}
    try:
        record = run.record
        choices, summary = record.get("choices") or {}, record.get("summary") or {}
        row |= {name: record.get(name) for name in _COLUMNS if name in record}
        for group in _CHOICES:
            choice = choices.get(group)
            row[group] = "+".join(map(str, choice)) if isinstance(choice, list) else choice
        row |= {"name": run.name, "status": run.status, "path": str(path)}
        row["seconds"] = (record.get("durations") or {}).get("total")
        row["tags"] = ", ".join(map(str, record.get("tags") or ()))
        row |= {name: value for name, value in summary.items() if name not in _COLUMNS}
    except (DataError, AttributeError, TypeError, ValueError) as error:
        row |= {"status": "unreadable", "error": getattr(error, "what", str(error))}
    return row


def _read_json(path: Path) -> Facts:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone()
    except ValueError:
        return None
