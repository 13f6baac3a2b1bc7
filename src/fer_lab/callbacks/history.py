"""The scalars of every epoch, as a table that any program reads."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.loggers.logger import Logger

from fer_lab.files import atomic_path


class History(Logger):
    """A logger that keeps ``metrics/history.csv``: one row an epoch, one column a scalar.

    A resumed run continues the table of its folder, which may be ahead of its checkpoint. What is
    logged after the training has ended (the passes over the chosen checkpoint) belongs to no epoch
    and is not in it.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics" / "history.csv"
        self._rows: dict[int, dict[str, Any]] = {}
        self._ended = False
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                self._rows = {int(row["epoch"]): dict(row) for row in csv.DictReader(file)}

    @property
    def name(self) -> str:
        """A constant: the folder tells runs apart."""
        return "history"

    @property
    def version(self) -> str:
        """A constant, for the same reason."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Keep nothing: the run's folder has the whole configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add figures to the row of their epoch and write the table."""
        figures = {name: value for name, value in metrics.items() if name != "epoch"}
        if self._ended or not figures or "epoch" not in metrics:
            return
        epoch = int(metrics["epoch"])
        self._rows.setdefault(epoch, {"epoch": epoch}).update(figures)
        rows = [self._rows[number] for number in sorted(self._rows)]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with atomic_path(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def keep(self, epochs: int) -> None:
        """Forget the rows of all epochs but the first ones: they are done again."""
        self._rows = {number: row for number, row in self._rows.items() if number < epochs}

    def latest(self) -> dict[str, float]:
        """The figures of the last epoch in the table; none in an empty one."""
        row = self._rows[max(self._rows)] if self._rows else {}
        return {
            name: float(value) for name, value in row.items() if name != "epoch" and value != ""
        }

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the table at the end of the training."""
        self._ended = True
