"""The task that lists runs on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from fer_lab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


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
    from fer_lab.report.roots import named_folders

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
    found = all_runs(named_folders(options["runs"]))
    kept = sorted_runs(
        chosen(found, options["where"] or {}), str(options["sort"]), reverse=options["reverse"]
    )
    if limit is not None:
        kept = kept.tail(limit)
    console = Console()
    console.print(run_list(kept, total=len(found), width=console.width))
    return kept
