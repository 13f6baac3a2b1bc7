"""What the panels of a W&B workspace ask W&B for."""

from __future__ import annotations

from wandb_workspaces.workspaces import Workspace


def panel_names(workspace: Workspace) -> set[str]:
    """The names of figures, pictures and tables that panels ask for, as W&B is told of them."""
    found: set[str] = set()
    for panel in (panel for section in workspace.sections for panel in section.panels):
        if table := getattr(panel, "table_name", None):
            found.add(table)
            continue
        config = panel._to_model().model_dump(by_alias=True)["config"]
        axes = filter(None, (config.get("xAxis"), config.get("yAxis")))
        named = [*axes, *config.get("metrics", ()), *config.get("mediaKeys", ())]
        found |= {name.removeprefix("summary:") for name in named}
    return found
