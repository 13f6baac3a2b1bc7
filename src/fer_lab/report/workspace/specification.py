"""A W&B workspace over all runs: composed without a server, kept as a file, saved on request."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lab.confidential import without_secrets
from fer_lab.errors import ConfigError
from fer_lab.files import write_json
from fer_lab.report.dashboard.gather import Entry
from fer_lab.report.wording import printable
from fer_lab.report.workspace.logged import Logged, tracked_runs

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

_FIGURES = ("accuracy", "fairness/bias", "worst_group_accuracy", "collapsed")
_OPTIONS = ("model", "dataset", "split")
_MOST_RUNS = 100  # in a panel; W&B draws ten unless it is told otherwise


def workspace_of(
    entries: Sequence[Entry],
    *,
    title: str = "Runs",
    project: str | None = None,
    alone: bool = False,
) -> Workspace:
    """A workspace with the sections of the page of all runs; nothing is sent anywhere.

    Args:
        entries: the runs, see `~fer_lab.report.dashboard.gather.gather`.
        title: its name; W&B takes no symbols in it, which are left out.
        project: ``project`` or ``entity/project``; None: the one that the runs name.
        alone: whether it shows these runs alone, and not all of the project.

    Raises:
        ConfigError: without the extra, for no project or several, or if no run was logged.
    """
    entity, name, tracked = tracked_runs(entries, project)
    logged = Logged.of(tracked)
    with _extra():
        from wandb_workspaces import workspaces as ws

        from fer_lab.report.workspace.panels import sections
    figures = logged.known(f"{logged.split}/{figure}" for figure in _FIGURES)
    identities = [str(entry.run.record["wandb"]["id"]) for entry in tracked]
    return ws.Workspace(
        entity=entity,
        project=name,
        name=_plain(title),
        sections=sections(logged),
        settings=ws.WorkspaceSettings(max_runs=_MOST_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=[ws.Metric("ID").isin(identities)] if alone else "",
            groupby=[ws.Metric("Group")],  # the sweep's folder
            pinned_columns=[
                *("run:displayName", "run:state"),
                *(f"summary:{figure}" for figure in figures),
                *(f"config:choices.value.{option}" for option in _OPTIONS),
            ],
        ),
    )


def write_workspace(workspace: Workspace, path: Path) -> Path:
    """Write a workspace's specification as JSON; `read_workspace` gives it back."""
    write_json(
        path, workspace._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
    )
    return path


def read_workspace(path: Path) -> Workspace:
    """The workspace of a file, which `save_workspace` sends to W&B.

    Raises:
        ConfigError: without the extra, or if the file holds no workspace.
    """
    with _extra():
        from wandb_workspaces.workspaces import Workspace
        from wandb_workspaces.workspaces.internal import View
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found: Workspace = Workspace._from_model(View.model_validate(content))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no workspace can be read there: {str(error).splitlines()[0]}",
            where=path,
            hint="fer-lab report workspace=file writes one",
        ) from error
    return found


def save_workspace(workspace: Workspace) -> str:
    """Save a workspace at the W&B server, which needs a login and a network.

    Returns:
        Its address.

    Raises:
        ConfigError: when W&B does not know the user or the project, or cannot be reached.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    view: Any = workspace  # its methods are not typed
    try:
        view.entity = workspace.entity or str(wandb.Api().default_entity or "")
        return str(view.save().url)
    except Exception as error:  # W&B's own, its transport's, its service's
        lines = printable(without_secrets(str(error))).strip().splitlines()
        raise ConfigError(
            f"W&B takes no workspace: {lines[0] if lines else type(error).__name__}",
            where="/".join(filter(None, (workspace.entity, workspace.project))),
            hint="`wandb login` first, and send the runs with `wandb sync`; workspace=file "
            "writes the specification without an account",
        ) from error


@contextmanager
def _extra() -> Iterator[None]:
    """Say which extra is missing where an import in the block fails."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            "wandb-workspaces is not installed",
            where="workspace",
            hint="pip install 'fer-lab[dashboard]'",
        ) from error


def _plain(title: str) -> str:
    """A title without symbols such as × and +, which W&B refuses in a workspace's name."""
    kept = (c for c in printable(title) if unicodedata.category(c)[:2] not in _REFUSED)
    return " ".join("".join(kept).split()) or "Runs"


_REFUSED = {"So", "Sk", "Sm", "Sc", "Cs"}
