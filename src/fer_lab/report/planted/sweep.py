"""A Hydra callback that keeps the table of planted shortcuts in the sweep's folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class PlantedTable(Callback):
    """Writes ``planted.csv``, ``planted.md`` and ``planted.png`` into a sweep's folder.

    They are written anew after every job, so that one that fails leaves the table of the others.
    The table is printed when the sweep ends. Faces that were drawn for a job alone (its ``faces``)
    are removed when it ends: they are known by their seed.
    """

    def on_job_end(
        self,
        config: DictConfig,
        job_return: JobReturn,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Bring the table up to date."""
        shutil.rmtree(Path(config.hydra.runtime.output_dir) / "faces", ignore_errors=True)
        self._write(config, show=False)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Print the table of all jobs."""
        self._write(config, show=True)

    def _write(self, config: DictConfig, *, show: bool) -> None:
        if str(config.hydra.mode).rpartition(".")[2] != "MULTIRUN":
            return
        folder = Path(config.hydra.sweep.dir)
        text = write_planted(folder)
        if show and text is not None:
            print(f"\n{text}\ntable: {folder / 'planted.md'} (.csv, .png)\n", flush=True)


def write_planted(folder: Path) -> str | None:
    """Write the three files from the runs below a folder; gives the text, None without runs."""
    from fer_lab.files import atomic_path
    from fer_lab.report.planted.page import planted_figure, planted_text
    from fer_lab.report.planted.table import planted_table

    table = planted_table(folder)
    if table.empty:
        return None
    text = planted_text(table)
    with atomic_path(folder / "planted.csv") as temporary:
        table.to_csv(temporary, index=False)
    with atomic_path(folder / "planted.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    with atomic_path(folder / "planted.png") as temporary:
        planted_figure(table).savefig(temporary)
    return text
