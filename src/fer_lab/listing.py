"""The task that lists runs on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from fer_lab.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

ROOTS = ("outputs", "multirun")


def runs(cfg: DictConfig, folder: Path) -> pd.DataFrame:  # noqa: ARG001 - it leaves nothing there
    """List the runs below some folders, as configured.

    Args:
        cfg: the composed configuration of ``conf/runs.yaml``.
        folder: of the task, which leaves nothing there.

    Returns:
        The runs that were listed, in their order.

    Raises:
        ConfigError: for a column that no run has.
        DataError: for a folder that is not there, or without any run.
    """
    from rich.console import Console

    from fer_lab.report.dashboard.terminal import all_runs, chosen, run_list, sorted_runs

    options: Any = OmegaConf.to_container(cfg, resolve=True)
    if not isinstance(options["where"], dict | None):
        raise ConfigError(
            f"where={options['where']} is no mapping",
            where="where",
            hint='"where={model: resnet50, status: finished}", in quotes',
        )
    if not isinstance(options["reverse"], bool):
        raise ConfigError(
            f"reverse={options['reverse']} is neither true nor false", where="reverse"
        )
    limit = options["limit"]
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ConfigError(f"limit={limit} is no number of runs", where="limit", hint="limit=20")
    found = all_runs(named_folders(cfg.runs))
    kept = sorted_runs(
        chosen(found, options["where"] or {}), str(options["sort"]), reverse=options["reverse"]
    )
    if limit is not None:
        kept = kept.tail(limit)
    console = Console()
    console.print(run_list(kept, total=len(found), width=console.width))
    return kept


def named_folders(given: Any) -> list[str]:
    """The folders to read: those named, else those of ``outputs`` and ``multirun`` that are there.

    Raises:
        DataError: when nothing is named and neither is there.
    """
    content = OmegaConf.to_container(given) if OmegaConf.is_config(given) else given
    if content is None or content == []:
        there = [root for root in ROOTS if Path(root).is_dir()]
        if not there:
            raise DataError(
                "there are no runs here: neither outputs nor multirun is a folder",
                where=Path.cwd(),
                hint="runs=FOLDER names a folder with runs anywhere below",
            )
        return there
    names = [str(name) for name in content] if isinstance(content, list) else [str(content)]
    return [str(Path(name).expanduser()) for name in names]
