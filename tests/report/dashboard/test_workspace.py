"""The W&B workspace over all runs: its panels, its file, and that it needs no server."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys

import pytest
from wandb_workspaces.reports.v2.interface import BarPlot, LinePlot, ScatterPlot

from fer_lab.errors import ConfigError
from fer_lab.files import write_json
from fer_lab.report.dashboard.gather import gather
from fer_lab.report.logged import logged_names
from fer_lab.report.run import Run
from fer_lab.report.workspace.specification import (
    read_workspace,
    save_workspace,
    workspace_of,
    write_workspace,
)
from tests.report.dashboard.made_up import write_comparable
from tests.report.dashboard.panels import panel_names


def logged(folder, *, project="fer_lab", entity="null", **options):
    """A made-up run that says it was logged to W&B, as runs are unless told otherwise."""
    settings = f"logger: {{kind: wandb, project: {project}, entity: {entity}}}\n"
    record = {"wandb": {"id": f"id{options['number']}", "mode": "offline"}}
    return write_comparable(folder, settings=settings, record=record, **options)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    for number, split in enumerate(("female", "male", "mixed")):
        logged(root / str(number), number=number, split=split, explained=True)
    return root


@pytest.fixture
def no_network(monkeypatch):
    def refused(*_):
        raise AssertionError("the network was asked for")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.fixture
def workspace(sweep, no_network):
    return workspace_of(gather([sweep]), title="Three × runs", alone=True)


def panels_of(workspace, title):
    (found,) = (section.panels for section in workspace.sections if section.name == title)
    return found


def test_the_sections_are_those_of_the_page(workspace):
    assert [section.name for section in workspace.sections] == [
        *("Accuracy and bias", "Runs", "Train × test gender", "Groups"),
        *("Fairness by attribute", "Where models look", "Learning curves"),
    ]
    (scatter, *_) = panels_of(workspace, "Accuracy and bias")
    assert isinstance(scatter, ScatterPlot)
    assert (scatter.x, scatter.y) == ("test/fairness/bias", "test/accuracy")
    assert scatter.running_ymax  # from the left, the best accuracy so far: the Pareto front
    curves = panels_of(workspace, "Learning curves")
    assert [type(panel) for panel in curves] == [LinePlot] * len(curves)
    assert ["val/accuracy"] in [panel.y for panel in curves]


def test_panels_ask_only_for_what_runs_have_logged(workspace, sweep):
    names = logged_names(Run(sweep / "0"))
    wanted = panel_names(workspace)
    assert wanted <= names
    assert {"test/lift/nose", "test/ior/mouth", "val/fairness/gender/bias"} <= wanted
    assert {"test/attributes/gender/groups/male/accuracy", "tables/groups"} <= wanted


def test_the_gender_matrix_is_three_panels_of_three_bars(workspace):
    panels = panels_of(workspace, "Train × test gender")
    assert [panel.metrics for panel in panels] == [
        ["test/attributes/gender/groups/female/accuracy"],
        ["test/attributes/gender/groups/male/accuracy"],
        ["test/accuracy"],
    ]
    assert {panel._to_model().config.group_by for panel in panels} == {"choices.value.split"}


def test_runs_are_grouped_by_their_sweep_and_only_those_named_are_shown(sweep, workspace):
    model = workspace._to_model().spec.section.run_sets[0]
    assert [(key.section, key.name) for key in model.grouping] == [("run", "group")]
    assert re.findall(r"id\d", json.dumps(model.filters)) == ["id0", "id1", "id2"]
    everything = workspace_of(gather([sweep]))._to_model().spec.section.run_sets[0]
    assert "id0" not in json.dumps(everything.filters)
    assert {"summary:test/accuracy", "config:choices.value.model"} <= set(
        model.run_feed.column_order
    )


def test_a_setting_is_what_bars_are_drawn_by_where_no_option_differs(tmp_path):
    for number, rate in enumerate((0.1, 0.2, 0.2)):
        folder = logged(tmp_path / str(number), number=number, seed=number)
        with (folder / ".hydra" / "config.yaml").open("a") as file:
            file.write(f"optimizer: {{lr: {rate}}}\n")
    (panel, *_) = panels_of(workspace_of(gather([tmp_path])), "Groups")
    assert isinstance(panel, BarPlot)
    assert panel._to_model().config.group_by == "optimizer.value.lr"


def test_without_other_genders_or_explanations_their_sections_are_left_out(tmp_path):
    logged(tmp_path / "0", number=0)
    titles = [section.name for section in workspace_of(gather([tmp_path])).sections]
    assert "Train × test gender" not in titles
    assert "Where models look" not in titles


def test_inferred_groups_are_named_so(sweep, tmp_path):
    folder = shutil.copytree(sweep / "0", tmp_path / "run")
    path = folder / "metrics" / "test.json"
    facts = json.loads(path.read_text())
    facts["attributes"]["gender"] |= {"inferred": True, "source": "fairface"}
    write_json(path, facts | {"inferred": ["gender"]})
    wanted = panel_names(workspace_of(gather([tmp_path])))
    assert "test/attributes/gender (inferred)/groups/male/accuracy" in wanted
    assert not any("/gender/" in name for name in wanted)
    assert wanted <= logged_names(Run(folder))


def test_the_file_gives_the_same_workspace_back(workspace, tmp_path):
    path = write_workspace(workspace, tmp_path / "report.workspace.json")
    again = read_workspace(path)
    assert again._to_model().model_dump() == workspace._to_model().model_dump()
    assert panel_names(again) == panel_names(workspace)
    assert again.name == "Three runs"  # W&B refuses symbols


def test_the_project_is_the_one_that_runs_name_or_the_one_asked_for(tmp_path):
    logged(tmp_path / "0", number=0, project="faces", entity="lab")
    entries = gather([tmp_path])
    found = workspace_of(entries)
    assert (found.entity, found.project) == ("lab", "faces")
    other = workspace_of(entries, project="someone/else")
    assert (other.entity, other.project) == ("someone", "else")
    logged(tmp_path / "1", number=1, project="others")
    entries = gather([tmp_path])
    with pytest.raises(ConfigError, match="2 W&B projects: lab/faces, others"):
        workspace_of(entries)
    one = workspace_of(entries, project="others", alone=True)._to_model()
    assert re.findall(r"id\d", one.model_dump_json()) == ["id1"]


def test_runs_that_were_not_logged_have_no_workspace(tmp_path):
    write_comparable(tmp_path / "run", record={"wandb": None})
    with pytest.raises(ConfigError, match="of 1 runs none was logged"):
        workspace_of(gather([tmp_path]))


def test_a_broken_run_costs_no_more_than_its_own_names(sweep, tmp_path):
    for name in ("0", "1"):
        shutil.copytree(sweep / name, tmp_path / name)
    (tmp_path / "0" / "metrics" / "test.json").write_text('{"split": ')
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "run.json").write_text("{")
    assert panel_names(workspace_of(gather([tmp_path]))) <= logged_names(Run(tmp_path / "1"))


def test_the_missing_extra_is_one_error(sweep, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(ConfigError, match="wandb-workspaces is not installed") as caught:
        workspace_of(gather([sweep]))
    assert caught.value.hint == "pip install 'fer-lab[dashboard]'"


def test_what_is_no_workspace_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"entity": 3}')
    for path in (tmp_path / "a.json", tmp_path / "none.json"):
        with pytest.raises(ConfigError, match="no workspace can be read"):
            read_workspace(path)


def test_saving_without_a_login_is_one_error(sweep, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(ConfigError, match="takes no workspace: No API key configured") as caught:
        save_workspace(workspace_of(gather([sweep])))
    assert "wandb login" in str(caught.value.hint)
