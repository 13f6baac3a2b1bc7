"""Runs of every kind below ``outputs`` and ``multirun``, written once."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys

import pytest

from fer_lab.files import write_json
from fer_lab.report.dashboard.gather import gather
from fer_lab.report.dashboard.page import document, write_dashboard
from tests.report.dashboard.made_up import write_comparable
from tests.report.fabricated import write_run

EVIL = "<b>x</b></script><script>document.title='it ran'</script><img src=x onerror=1>\"'&amp;"


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("dashboard")
    sweep, outputs = root / "multirun" / "2026-03-01" / "10-00-00", root / "outputs" / "2026-03-02"
    number = 0
    for split, skill in (("female", 0.7), ("male", 0.75), ("mixed", 0.8)):
        for seed in (1, 2):
            write_comparable(
                sweep / str(number), number=number, model="resnet50", split=split, seed=seed,
                skill=skill + 0.02 * seed, unfair={"female": 0.2}.get(split, 0.02),
            )  # fmt: skip
            number += 1
    write_comparable(
        sweep / "6", number=6, model="vit_tiny", skill=0.9, unfair=0.15, explained=True, epochs=400
    )
    write_comparable(
        sweep / "7", number=7, model="poster", skill=-1, record={"name": EVIL, "tags": [EVIL]}
    )
    facts = json.loads((sweep / "7" / "metrics" / "test.json").read_text())
    write_json(sweep / "7" / "metrics" / "test.json", facts | {"collapsed": True})
    # A later run of a seed that is there already, measured elsewhere, and what leaves no figures.
    again = {"name": "synthetic-male-resnet50-s2-again"}
    write_comparable(
        sweep / "8", number=8, model="resnet50", split="male", seed=2, skill=0.6, record=again
    )
    write_comparable(
        outputs / "fewer", number=9, model="resnet50", samples=200, record={"name": "fewer"}
    )
    for name in ("failed", "killed", "bare", "torn"):
        write_run(outputs / name, splits=(), explained=False, epochs=0, record={"name": name})
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    _change(outputs / "failed", status="failed", error="DataError: no data\n  where: a\n  to do: b")
    _change(outputs / "killed", status="running", host=socket.gethostname(), pid=dead.pid)
    (outputs / "torn" / "metrics").mkdir()
    (outputs / "torn" / "metrics" / "test.json").write_text('{"split": "te')
    (outputs / "broken").mkdir()
    (outputs / "broken" / "run.json").write_text('{"name": ')
    audited = {"task": "audit", "summary": {"bias/rafdb": 0.125}, "choices": {"dataset": ["rafdb"]}}
    write_run(outputs / "audit", splits=(), explained=False, epochs=0, record=audited)
    shutil.copytree(sweep / "0", outputs / "evaluated")
    _change(
        outputs / "evaluated",
        name="evaluated",
        task="evaluate",
        choices={"dataset": "synthetic", "split": "mixed", "test_split": "mixed"},
        trained_run={"name": "synthetic-female-resnet50-s1", "path": str(sweep / "0")},
    )
    (sweep / "6" / "report.html").write_text("a page")
    return root


@pytest.fixture
def entries(place):
    return gather([place / "outputs", place / "multirun"])


@pytest.fixture(scope="session")
def path(place):
    return write_dashboard(gather([place / "outputs", place / "multirun"]), place / "page.html")


@pytest.fixture(scope="session")
def facts(place):
    return document(gather([place / "outputs", place / "multirun"]), place)


def _change(folder, **entries):
    path = folder / "run.json"
    write_json(path, json.loads(path.read_text()) | entries)
