"""The wheel alone, in a clean environment and an empty folder, trains."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.integration.runs import SMALL, only_run, record

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(place), str(REPOSITORY)],
        check=True,
        capture_output=True,
    )
    (found,) = place.glob("*.whl")
    return found


@pytest.mark.slow
def test_the_wheel_carries_configuration_template_and_type_marker(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "fer_lab/py.typed" in names
    assert "fer_lab/report/templates/run.html.j2" in names
    on_disk = {p.relative_to(REPOSITORY).as_posix() for p in (REPOSITORY / "conf").rglob("*.yaml")}
    packed = {name.removeprefix("fer_lab/") for name in names if name.startswith("fer_lab/conf/")}
    assert packed == {name for name in on_disk if not name.startswith("conf/local/")}


@pytest.mark.slow
def test_the_wheel_trains_in_an_empty_folder(wheel, tmp_path):
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(site), str(wheel)],
        check=True,
        capture_output=True,
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "fer_lab.cli", "train", *SMALL, "trainer.max_epochs=1"],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert record(only_run(empty))["status"] == "finished"
    probe = "import fer_lab, sys; sys.stdout.write(fer_lab.__file__)"
    used = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert used.startswith(str(site))
