"""The guide to users' own data runs, command and blocks, on tiny tables and folders."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.integration.runs import finish, only_run, record
from tests.layouts.table import rows_of, write_folder, write_mask, write_rows, write_table

GUIDE = Path(__file__).parents[2] / "docs" / "own_data.md"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_table(folder / "faces", odd=False)
    write_folder(folder / "folders")
    pictures = [row["picture"] for row in rows_of()]
    write_rows(
        folder / "inferred_demographics.csv",
        [{"image_path": picture, "gender": "Female"} for picture in pictures],
    )
    write_rows(
        folder / "ratings.csv",
        [{"image": picture, "annotator": "a", "rank": "strong"} for picture in pictures],
    )
    for picture in pictures:
        write_mask(folder / "masks" / picture)
    return folder


def blocks(language: str, data: Path) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return "\n".join(found).replace("/data/", f"{data}/")


def test_the_command_trains_and_audits(data, tmp_path):
    program, task, *overrides = shlex.split(blocks("sh", data).replace("\\\n", " "))
    assert (program, task) == ("fer-lab", "train")
    done = finish(
        tmp_path, *overrides, "logger=none", "callbacks.fairness.resamples=20", "trainer=cpu"
    )
    assert done.returncode == 0, done.stderr
    folder = only_run(tmp_path)
    assert record(folder)["data"] == {"train": 28, "val": 7, "test": 7, "dropped": {}}
    assert record(folder)["name"] == "table-mixed-baseline_cnn-s1"
    test = pd.read_parquet(folder / "predictions" / "test.parquet")
    assert set(test["dataset"]) == {"table"}
    assert set(test["gender"]) == {"female"}
    assert {"age", "glasses"} <= set(test.columns)


def test_the_blocks_run(data, tmp_path):
    script = tmp_path / "guide.py"
    body = blocks("python", data).replace("\n", "\n    ")
    script.write_text(f"if __name__ == '__main__':\n    {body}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "{'gender': 'fairface', 'intensity_rank': 'annotated'} True" in done.stdout
    assert (tmp_path / "masks-without-a-face.csv").read_text() == "kind,place,path\n"
