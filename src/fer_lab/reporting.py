"""The report task: all runs on one page, complete in itself, and as a W&B workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from fer_lab.errors import ConfigError
from fer_lab.places import refuse_unwritable_file

if TYPE_CHECKING:
    from rich.console import Console

    from fer_lab.report.dashboard.gather import Entry

_LARGE = 5_000_000


def report(cfg: DictConfig, folder: Path) -> Path:  # noqa: ARG001 - the page goes elsewhere
    """Write the page of all runs below some folders, and its workspace where it is asked for.

    Args:
        cfg: the composed configuration of ``conf/report.yaml``.
        folder: of the task, which leaves nothing there.

    Returns:
        The page.

    Raises:
        ConfigError: for an output that is no page, or a workspace that cannot be made or saved.
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
    refuse_unwritable_file(path, "output")
    options: Any = OmegaConf.to_container(cfg, resolve=True)
    if options["workspace"] not in (None, "file", "save"):
        raise ConfigError(
            f"workspace={options['workspace']} is neither file nor save",
            where="workspace",
            hint="workspace=file writes its specification, workspace=save sends it to W&B, too",
        )
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
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    console.print(f"report: {path} ({words})")
    if options["workspace"] is not None:
        _workspace(entries, path, options, console)
    return path


def _workspace(entries: list[Entry], page: Path, options: dict[str, Any], console: Console) -> None:
    """Write the specification of the workspace beside the page; save it where that is asked for."""
    from fer_lab.report.workspace.specification import (
        save_workspace,
        workspace_of,
        write_workspace,
    )

    workspace = workspace_of(
        entries,
        title=str(options["title"]),
        project=None if options["project"] is None else str(options["project"]),
        alone=bool(options["runs"]),  # folders that were named are what is meant
    )
    path = write_workspace(workspace, page.with_suffix(".workspace.json"))
    panels = sum(len(section.panels) for section in workspace.sections)
    console.print(f"workspace: {path} ({panels} panels, project {workspace.project})")
    if options["workspace"] == "save":
        console.print(f"workspace: {save_workspace(workspace)}")
