"""The report task: all runs on one page, complete in itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fer_lab.errors import ConfigError

_LARGE = 5_000_000


def report(cfg: DictConfig, folder: Path) -> Path:  # noqa: ARG001 - the page goes elsewhere
    """Write the page of all runs below some folders.

    Args:
        cfg: the composed configuration of ``conf/report.yaml``.
        folder: of the task, which leaves nothing there.

    Returns:
        The page.

    Raises:
        ConfigError: for an output that is no page.
        DataError: for a folder that is not there, or without any run.
    """
    from rich.console import Console

    from fer_lab.report.dashboard.gather import gather
    from fer_lab.report.dashboard.page import write_dashboard
    from fer_lab.report.roots import named_folders, no_runs

    path = Path(str(cfg.output)).expanduser()
    if path.is_dir() or path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"output={cfg.output} is no page",
            where=path.absolute(),
            hint="name a file that ends in .html, such as output=report.html",
        )
    options: Any = OmegaConf.to_container(cfg, resolve=True)
    roots = named_folders(options["runs"])
    entries = gather(roots)
    if not entries:
        raise no_runs(roots)
    write_dashboard(entries, path, title=str(cfg.title), roots=roots)
    size = path.stat().st_size
    damaged = sum(entry.shown["status"] == "unreadable" for entry in entries)
    words = f"{len(entries):,} runs, {size / 1e6:.1f} MB"
    words += f"; {damaged:,} damaged, with the reason on the page" if damaged else ""
    if size > _LARGE:
        words += "; runs=FOLDER would make it smaller"
    Console().print(
        f"report: {path} ({words})", soft_wrap=True, highlight=False, markup=False, emoji=False
    )
    return path
