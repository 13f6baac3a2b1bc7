"""``fer-lab report`` and ``fer-lab runs`` as a user types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from fer_lab import load_run, runs
from fer_lab.configuration import config_directory, register_resolvers
from fer_lab.errors import FerLabError
from fer_lab.listing import runs as list_runs
from fer_lab.report.workspace.specification import read_workspace
from fer_lab.reporting import report
from tests.integration.runs import SMALL, command, finish
from tests.integration.workspace_server import workspace_server
from tests.report.dashboard.made_up import write_comparable
from tests.report.dashboard.panels import panel_names
from tests.report.fabricated import write_run


def typed(
    folder: Path, task: str, *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words, task=task),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def facts_of(page: Path):
    block = r'<script type="application/json" id="facts">(.*?)</script>'
    return json.loads(re.search(block, page.read_text(), re.DOTALL)[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("dashboard")
    for number, model in enumerate(("resnet50", "vit_tiny")):
        write_comparable(root / "multirun" / "a" / str(number), number=number, model=model)
    write_run(
        root / "outputs" / "b", splits=(), explained=False, epochs=0, record={"status": "failed"}
    )
    (root / "outputs" / "c").mkdir()
    (root / "outputs" / "c" / "run.json").write_text("{")
    return root


def test_the_page_is_written_beside_the_runs_and_leaves_no_folder(folder):
    before = sorted(folder.rglob("*"))
    done = typed(folder, "report")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"report: report\.html \(4 runs, 0\.\d MB; 1 damaged, with the reason on the page\)\n",
        done.stdout,
    )
    page = folder / "report.html"
    assert sorted(folder.rglob("*")) == sorted([*before, page])
    statuses = sorted(run["status"] for run in facts_of(page)["runs"])
    assert statuses == ["failed", "finished", "finished", "unreadable"]


def test_a_page_of_some_runs_goes_where_it_is_told(folder):
    done = typed(folder, "report", "multirun", "output=pages/two models.html", "title=Two models")
    assert done.returncode == 0, done.stderr
    page = folder / "pages" / "two models.html"
    assert "<title>Two models</title>" in page.read_text()
    assert [run["folder"] for run in facts_of(page)["runs"]] == [
        *("../multirun/a/0", "../multirun/a/1")
    ]


def test_the_list_is_printed_and_leaves_no_folder(folder):
    before = sorted(folder.rglob("*"))
    done = typed(folder, "runs", "where={status: finished}", "sort=model", "reverse=true")
    assert done.returncode == 0, done.stderr
    assert sorted(folder.rglob("*")) == before
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout.index("vit_tiny") < done.stdout.index("resnet50")
    assert "2 of 4 runs" in done.stdout
    one = typed(folder, "runs", "multirun", "limit=1").stdout
    assert "vit_tiny" in one
    assert "resnet50" not in one


def test_the_workspace_is_written_beside_the_page_and_says_what_is_in_it(folder):
    done = typed(folder, "report", "multirun", "output=pages/w.html", "workspace=file")
    assert done.returncode == 0, done.stderr
    path = folder / "pages" / "w.workspace.json"
    found = read_workspace(path)
    panels = sum(len(section.panels) for section in found.sections)
    said = f"workspace: pages/{path.name} ({panels} panels, project fer_lab)"
    assert done.stdout.splitlines()[1] == said
    assert panels > 10
    assert found.name == "Runs"


def test_a_page_alone_imports_nothing_of_wandb(folder):
    script = (
        "import sys; from fer_lab.cli import main;"
        "assert main(['report', 'multirun', 'output=pages/alone.html']) == 0;"
        "print([name for name in sys.modules if name.startswith('wandb')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_workspace_is_saved_at_the_server_that_the_user_is_logged_in_to(folder, tmp_path):
    words = ("multirun", "output=pages/s.html", "workspace=save", "title=Two models")
    with workspace_server() as (address, saved):
        keys = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "a" * 40, "HOME": str(tmp_path)}
        done = typed(folder, "report", *words, **keys)
    assert done.returncode == 0, done.stderr
    (view,) = saved
    assert (view["entityName"], view["projectName"]) == ("lab", "fer_lab")
    assert view["displayName"] == "Two models"
    written = json.loads((folder / "pages" / "s.workspace.json").read_text())["spec"]
    assert json.loads(view["spec"]) == written
    assert re.search(rf"workspace: {address}/lab/fer_lab\?nw=\w+", done.stdout)
    assert "a" * 40 not in done.stdout + done.stderr


def test_a_workspace_that_cannot_be_saved_is_one_message_and_the_file_is_there(folder, tmp_path):
    done = typed(
        folder,
        *("report", "multirun", "output=pages/u.html", "workspace=save"),
        WANDB_API_KEY="",
        HOME=str(tmp_path),
        NETRC=str(tmp_path / "netrc"),
    )
    assert done.returncode == 1
    assert "W&B takes no workspace: No API key configured" in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "pages" / "u.workspace.json").is_file()


def composed(task: str, *words: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose(task, list(words))


@pytest.mark.parametrize(
    ("task", "word", "named"),
    [
        (report, "runs=nowhere", "there is no such folder"),
        (report, "output=page.txt", "is no page"),
        (report, "output=outputs", "is no page"),
        (report, "workspace=true", "neither file nor save"),
        (list_runs, "sort=acuracy", "did you mean 'accuracy'"),
        (list_runs, "where={modell: x}", "did you mean 'model'"),
        (list_runs, "where=x", "is no mapping"),
        (list_runs, "limit=0", "no number of runs"),
        (list_runs, "reverse=maybe", "neither true nor false"),
    ],
)
def test_a_mistake_is_said(folder, monkeypatch, task, word, named):
    monkeypatch.chdir(folder)
    with pytest.raises(FerLabError, match=named):
        task(composed(task.__name__, word), folder)


def test_a_mistake_is_one_message_on_the_terminal(folder):
    for words in (["report", "outptu=a.html"], ["runs", "sort=acuracy"]):
        done = typed(folder, *words)
        assert done.returncode == 1
        assert "did you mean" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("task", [report, list_runs])
def test_nothing_to_show_is_said(tmp_path, monkeypatch, task):
    monkeypatch.chdir(tmp_path)
    cfg = composed(task.__name__)
    with pytest.raises(FerLabError, match="there are no runs here"):
        task(cfg, tmp_path)
    (tmp_path / "outputs").mkdir()
    with pytest.raises(FerLabError, match="there are no runs"):
        task(cfg, tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_a_real_sweep_is_on_the_page_as_it_is_in_its_files(tmp_path):
    words = ("split=female,male,mixed", "seed=1,2", "split.balance=[gender,label]")
    done = finish(tmp_path, *SMALL, *words, "hydra.mode=MULTIRUN")
    assert done.returncode == 0, done.stderr
    evaluated = typed(
        *(tmp_path, "evaluate", f"checkpoint={next(tmp_path.glob('multirun/*/*/0'))}", *SMALL[:3])
    )
    assert evaluated.returncode == 0, evaluated.stderr
    written = typed(tmp_path, "report", "workspace=file")
    assert written.returncode == 0, written.stderr
    wanted = panel_names(read_workspace(tmp_path / "report.workspace.json"))
    assert {"test/fairness/gender/demographic_parity", "test/lift/nose"} <= wanted
    sent: set[str] = set()
    for offline in tmp_path.rglob("offline-run-*/*.wandb"):
        content = inspected(offline)
        sent |= set(content["summary"])
        assert content["config"]["choices"]["split"] == content["config"]["split"]["name"]
    assert wanted <= sent
    facts = facts_of(tmp_path / "report.html")
    table = runs(tmp_path / "multirun")
    assert len(facts["runs"]) == len(table) + 1 == 7
    assert len(facts["sets"]) == 1
    assert {run["variant"] for run in facts["runs"] if run["task"] == "train"} == {0}
    for run in facts["runs"]:
        own = load_run(tmp_path / run["folder"])
        faces = own.predictions
        right = faces["label"] == faces["prediction"]
        assert run["figures"]["accuracy"][0] == pytest.approx(right.mean(), abs=5e-5)
        by_gender = right.groupby(faces["gender"], observed=True).mean()
        names = facts["schemas"][run["schema"]]["attributes"]["gender"]["keys"]
        for name, group in zip(names, run["groups"]["gender"], strict=True):
            assert group[1] == pytest.approx(by_gender[name], abs=5e-5)
        assert (tmp_path / run["page"]).is_file()
        assert run["learnt"] == own.record.get("choices")["split"] or run["task"] == "evaluate"
    lift = pd.Series(facts["runs"][0]["regions"]["lift"]).dropna()
    assert len(lift) > 10


def inspected(offline: Path):
    """What W&B itself reads back from an offline run."""
    tool = Path(sys.executable).with_name("wandb")
    words = [tool, "leet", "inspect", "--summary", "--json", str(offline)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
