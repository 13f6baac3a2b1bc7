"""``fer-lab compare A B`` as a user starts it: differences found by hand, or one error."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fer_lab
from tests.integration.runs import command

CLASSES = np.array(["happy", "sad", "fear"])


def table(seed: int, right: float, ids: range) -> pd.DataFrame:
    """Predictions on the faces of these numbers, right as often as that."""
    truth = np.random.default_rng(0).integers(0, 3, 1000)
    gender = np.where(np.random.default_rng(1).random(1000) < 0.5, "female", "male")
    draw = np.random.default_rng(seed)
    guess = np.where(draw.random(1000) < right, truth, draw.integers(0, 3, 1000))
    frame = pd.DataFrame(
        {
            "id": [f"face {n}" for n in range(1000)],
            "label": CLASSES[truth],
            "prediction": CLASSES[guess],
            "gender": gender,
        }
    )
    return frame.iloc[ids]


def compared(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words, "resamples=200", "hydra.run.dir=out", task="compare"),
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two files of which 800 faces are shared, and their comparison."""
    place = tmp_path_factory.mktemp("compared")
    first, second = table(2, 0.5, range(900)), table(3, 0.8, range(100, 1000))
    first.to_csv(place / "first.csv", index=False)
    second.sample(frac=1, random_state=0).to_parquet(place / "second.parquet", index=False)
    done = compared(place, "first.csv", "second.parquet")
    assert done.returncode == 0, done.stderr
    return place, first, second, done


def test_differences_are_those_of_the_shared_samples(both):
    place, first, second, _ = both
    facts = json.loads((place / "out" / "comparison.json").read_text())
    shared = first.merge(second, on="id", suffixes=("", " of b"))
    assert facts["samples"] == len(shared) == 800
    assert (facts["only_in_a"], facts["only_in_b"]) == (100, 100)
    a = shared["prediction"] == shared["label"]
    b = shared["prediction of b"] == shared["label"]
    assert facts["accuracy"]["difference"] == pytest.approx(b.mean() - a.mean())
    assert facts["accuracy"]["low"] > 0
    shares = [
        pd.crosstab(shared["gender"], shared[name], normalize="index").diff().iloc[-1].abs().max()
        for name in ("prediction", "prediction of b")
    ]
    found = facts["attributes"]["gender"]["metrics"]["demographic_parity"]
    assert [found["a"], found["b"]] == pytest.approx(shares)


def test_the_csv_has_a_row_for_every_figure(both):
    place, *_ = both
    facts = json.loads((place / "out" / "comparison.json").read_text())
    rows = pd.read_csv(place / "out" / "comparison.csv").set_index(["part", "figure"])
    assert rows.loc[("all", "accuracy"), "difference"] == facts["accuracy"]["difference"]
    bias = facts["attributes"]["gender"]["bias"]
    assert rows.loc[("gender", "bias"), "low"] == bias["low"]
    assert (place / "out" / "comparison.png").stat().st_size > 10_000


def test_the_terminal_says_who_is_better_within_80_columns(both):
    *_, done = both
    assert "800 shared samples (100 more in A, 100 more in B: left out)" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  Accuracy ")]
    assert line.rstrip().endswith("better")
    table = done.stdout.partition("written:")[0]
    assert max(map(len, table.splitlines())) <= 80


def test_a_comparison_is_no_run(both):
    place, *_ = both
    assert len(fer_lab.runs(place)) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.assign(id="other " + frame["id"]), "no sample in common"),
        (lambda frame: frame.assign(label=np.roll(frame["label"], 1)), "disagree"),
    ],
)
def test_what_cannot_be_paired_is_one_error(tmp_path, change, said):
    table(2, 0.5, range(100)).to_csv(tmp_path / "a.csv", index=False)
    change(table(3, 0.5, range(100))).to_csv(tmp_path / "b.csv", index=False)
    done = compared(tmp_path, "a.csv", "b.csv")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_it_takes_two(tmp_path):
    table(2, 0.5, range(100)).to_csv(tmp_path / "a.csv", index=False)
    done = compared(tmp_path, "a.csv")
    assert done.returncode == 1
    assert "two things can be compared, not 1" in done.stderr
