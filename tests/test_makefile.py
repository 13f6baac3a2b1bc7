"""The Makefile hands every name=value to the command line exactly as it was typed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

RECORDER = """\
#!/bin/bash
for word in "$@"; do printf '%s\\0' "$word"; done > "$RECORDED"
env -0 > "$RECORDED.env"
"""


@pytest.fixture
def project(tmp_path):
    """A folder with the Makefile and a stand-in program that records its words."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    program = tmp_path / ".venv" / "bin" / "fer-lab"
    program.parent.mkdir(parents=True)
    program.write_text(RECORDER)
    program.chmod(0o755)
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def make(project: Path, *words: str) -> tuple[list[str], dict[str, str]]:
    recorded = project / "recorded"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    subprocess.run(
        ["make", *words],
        cwd=project,
        check=True,
        capture_output=True,
        env={**environment, "RECORDED": str(recorded)},
    )
    seen = dict(
        line.split("=", 1) for line in (project / "recorded.env").read_text().split("\0") if line
    )
    return recorded.read_text().split("\0")[:-1], seen


AWKWARD = [
    "dataset=affectnet,rafdb",
    "model.optimizer.lr=1e-4,1e-3",
    "dataset.root=/faces of many/Affect Net",
    "name=${dataset.name}-s${seed}",
    'notes=it\'s a "quoted" note; $(echo no)',
    "split.where.race=[black]",
    "tags=[a,b c]",
    "seed=glob(*)",
    "hydra/launcher=joblib",
    "+extra.key=#5",
]


@pytest.mark.parametrize("override", AWKWARD)
def test_an_override_arrives_intact(project, override):
    words, _ = make(project, "train", override)
    assert words == ["train", override]


def test_all_overrides_arrive_together(project):
    words, _ = make(project, "sweep", *AWKWARD)
    assert words[:2] == ["train", "--multirun"]
    assert sorted(words[2:]) == sorted(AWKWARD)


@pytest.mark.parametrize("override", AWKWARD)
def test_an_override_arrives_intact_at_the_check(project, override):
    words, _ = make(project, "check-data", override, "strict=true")
    assert sorted(words) == sorted(["check", override, "strict=true"])


def test_overrides_reach_neither_environment_nor_nested_makes(project):
    _, environment = make(project, "train", "seed=3", "name=x")
    assert "seed" not in environment
    assert "name" not in environment
    assert "seed" not in environment.get("MAKEFLAGS", "")


def test_own_variables_are_not_forwarded(project):
    words, _ = make(project, "train", "PYTHON=python3", "seed=1")
    assert words == ["train", "seed=1"]


def test_help_names_every_target(project):
    text = subprocess.run(
        ["make", "help"], cwd=project, check=True, capture_output=True, text=True
    ).stdout
    for target in (
        "train",
        "sweep",
        "check-data",
        "shards",
        "audit",
        "models",
        "test",
        "check",
        "bench",
        "setup",
        "help",
    ):
        assert f"\n  {target} " in text


def test_a_changed_pyproject_rebuilds_the_environment(project):
    os.utime(project / "pyproject.toml", (2_000_000_000, 2_000_000_000))
    plan = subprocess.run(
        ["make", "--dry-run", "train"], cwd=project, check=True, capture_output=True, text=True
    ).stdout
    assert "-m venv --clear .venv" in plan
    assert "pip install --editable" in plan
