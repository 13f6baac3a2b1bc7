"""Whatever names, labels, paths and tags say, no page runs it: each is opened in Chromium.

The policy of each page, which would stop scripts as a second line, is taken out first.
"""

from __future__ import annotations

import json
import re

import pytest

from fer_lab.files import write_json
from fer_lab.report.audit.figures import write_figures as write_audit_figures
from fer_lab.report.audit.page import write_page as write_audit_page
from fer_lab.report.dashboard.gather import gather
from fer_lab.report.dashboard.page import write_dashboard
from fer_lab.report.heatmaps.page import write_page as write_heatmaps_page
from fer_lab.report.heatmaps.study import study_of
from fer_lab.report.heatmaps.trainings import read_trainings
from fer_lab.report.page import write_page
from fer_lab.report.run import Run
from tests.report import merged_runs
from tests.report.audited import audited, side
from tests.report.browser import browse, needed, without_policy
from tests.report.dashboard.made_up import write_comparable
from tests.report.fabricated import write_run

pytestmark = needed

RUN_IT = "document.documentElement.dataset.ran=1"
# Without a slash, as a folder may be called and a cell of heatmaps.
NAME = f"\"'><img src=x onerror={RUN_IT}><b onfocus={RUN_IT} autofocus tabindex=1>x"
HOSTILE = f"</script></title></style><script>{RUN_IT}</script>{NAME}<svg onload={RUN_IT}>\u2028-->"
LINK = f"javascript:{RUN_IT}"


def ran(page, tmp_path, *, clicked=False):
    """Whether anything that runs was made of the page's text."""
    click = "document.querySelectorAll('a, summary, button').forEach((each) => each.click());"
    probe = f"<script>onload = () => {{ {click if clicked else ''} }}</script></body>"
    copy = tmp_path / "copy.html"
    copy.write_text(without_policy(page).replace("</body>", probe))
    shown = browse(tmp_path, copy, "--dump-dom", "--virtual-time-budget=3000")
    assert "</html>" in shown
    return re.search(r"<html[^>]* data-ran=", shown) is not None


@pytest.mark.parametrize("text", [HOSTILE, NAME])
def test_unescaped_it_would_run(tmp_path, text):
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><html><body><p title=''>{text}</p></body></html>")
    assert ran(page, tmp_path)


def hostile_run(folder, write=write_run, **options):
    """A run that is hostile in everything that it says of itself."""
    said = {"name": HOSTILE, "tags": [HOSTILE, LINK], "notes": HOSTILE, "error": HOSTILE}
    said |= {"command": HOSTILE, "host": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    said |= {"wandb": {"id": LINK}, "data": {"train": 1, "dropped": {HOSTILE: 2}}}
    said |= {"status": "failed", "target": HOSTILE, "trained_run": {"name": HOSTILE, "path": LINK}}
    groups = {HOSTILE: (HOSTILE, "b"), "gender": ("female", "male")}
    write(
        folder,
        classes=("happy", HOSTILE),
        groups=groups,
        samples=300,
        explained=True,
        record=said | options,
    )
    with (folder / ".hydra" / "config.yaml").open("a") as file:
        file.write(f"extra: {json.dumps(HOSTILE)}\n")
    path = folder / "explanations" / "summary.json"
    summary = json.loads(path.read_text()) | {"method": HOSTILE, "layer": HOSTILE}
    summary["regions"][HOSTILE] = summary["regions"]["nose"]
    write_json(path, summary)
    return folder


def test_the_page_of_a_run_does_not(tmp_path):
    page = write_page(Run(hostile_run(tmp_path / NAME)), figures=[])
    assert page.read_text().count("dataset.ran=1") > 20
    assert not ran(page, tmp_path, clicked=True)


def test_the_page_of_all_runs_does_not(tmp_path):
    choices = {"model": HOSTILE, "dataset": HOSTILE, "split": HOSTILE, "mitigation": HOSTILE}
    for number in range(2):
        folder = hostile_run(
            tmp_path / "runs" / f"{number}{NAME}", write_comparable, choices=choices
        )
        (folder / "report.html").write_text("a page")
    (tmp_path / "runs" / f"broken{NAME}").mkdir()
    (tmp_path / "runs" / f"broken{NAME}" / "run.json").write_text(json.dumps([HOSTILE]))
    entries = gather([tmp_path / "runs"])
    page = write_dashboard(entries, tmp_path / "all.html", title=HOSTILE, roots=[HOSTILE])
    assert page.read_text().count("dataset.ran=1") > 50
    assert not ran(page, tmp_path)


def test_the_page_of_an_audit_does_not(tmp_path):
    groups = {HOSTILE: (HOSTILE, "b"), "gender": ("female", "male")}
    names = {"sources": {HOSTILE: HOSTILE}, "dropped": {HOSTILE: 3}, "notes": (HOSTILE,)}
    evil = side(HOSTILE, samples=200, classes=("happy", HOSTILE), groups=groups, **names)
    audit = audited(evil, filter=HOSTILE, rows="test")
    record = {"name": HOSTILE, "notes": HOSTILE, "tags": [LINK], "versions": {HOSTILE: LINK}}
    figures = write_audit_figures(audit, tmp_path / "figures")
    page = write_audit_page(audit, record, figures, tmp_path)
    assert page.read_text().count("dataset.ran=1") > 20
    assert not ran(page, tmp_path, clicked=True)


def test_the_page_of_heatmaps_does_not(tmp_path):
    patterns = merged_runs.three_way()["mixed"]
    cells = {
        (group, NAME if label == "happy" else label): p for (group, label), p in patterns.items()
    }
    for number, split in enumerate((NAME, "male")):
        merged_runs.write_run(
            tmp_path / "runs" / f"{number}{NAME}",
            merged_runs.planted(cells, seed=number),
            trained_on=json.dumps(split),
            facts={"method": HOSTILE, "layer": HOSTILE},
            record={"name": HOSTILE, "choices": {"split": split, "model": HOSTILE}},
        )
    trainings, _ = read_trainings([tmp_path / "runs"], "test")
    study = study_of(trainings, list(cells), resamples=10, seed=1)
    left_out = [{"what": HOSTILE, "why": HOSTILE}]
    study.facts.update(
        {"split": "test", "notes": HOSTILE, "command": HOSTILE, "min_images": 30},
        left_out=left_out,
        warnings=[HOSTILE],
    )
    page = write_heatmaps_page(study.facts, {}, tmp_path)
    assert page.read_text().count("dataset.ran=1") > 10
    assert not ran(page, tmp_path, clicked=True)
