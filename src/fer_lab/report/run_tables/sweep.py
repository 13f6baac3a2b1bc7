"""A Hydra callback that keeps a table of a sweep's runs in the sweep's folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

log = logging.getLogger(__name__)


class SweepTable(Callback):
    """Writes ``table.md``, ``table.csv`` and ``table.tex`` after every job, and prints the table.

    It is written anew each time, so that a job that fails, or a sweep that is stopped, leaves the
    table of the others. Jobs that run beside each other are all in it when the sweep ends.

    Args:
        rows: what tells rows apart, see :func:`~fer_lab.report.run_tables.table.run_table`.
        columns: as there.
        values: as there.
        titles: headings by name.
        bold: whether the best value of each column is bold.
    """

    def __init__(
        self,
        rows: str | Sequence[str],
        columns: str | Sequence[str],
        values: str | Sequence[str] | None = None,
        titles: Mapping[str, str] | None = None,
        bold: bool = True,
    ) -> None:
        self.layout = {"rows": _plain(rows), "columns": _plain(columns), "values": _plain(values)}
        self.titles = dict(titles or {})
        self.bold = bold

    def on_job_end(
        self,
        config: DictConfig,
        job_return: JobReturn,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Bring the table up to date and print it."""
        self._write(config, show=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Write the table once more, of all jobs."""
        self._write(config, show=False)

    def _write(self, config: DictConfig, *, show: bool) -> None:
        from fer_lab.errors import ConfigError, DataError
        from fer_lab.report.run_tables.formats import Style, markdown, write_table
        from fer_lab.report.run_tables.table import run_table

        if str(config.hydra.mode).rpartition(".")[2] != "MULTIRUN":
            return
        folder = Path(config.hydra.sweep.dir)
        style = Style(titles=self.titles, bold=self.bold)
        try:
            table = run_table(folder, **self.layout)
        except DataError:  # no job has finished yet
            return
        except ConfigError as error:
            log.warning("the sweep has no table: %s", error)
            return
        paths = write_table(table, folder / "table", style)
        if show:
            print(f"\n{markdown(table, style)}table: {paths[0]} (.csv, .tex)\n", flush=True)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
