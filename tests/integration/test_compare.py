"""``fer-lab compare A B`` as a user starts it: differences found by hand, or one error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fer_lab
from tests.integration.runs import command
from tests.report.fabricated import write_run

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
        command("resamples=200", "hydra.run.dir=out", *words, task="compare"),
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


@pytest.fixture(scope="module")
def looking(tmp_path_factory):
    """Two runs, the second of which looks more at the nose and less at the hair, compared."""
    place = tmp_path_factory.mktemp("looking")
    first, second = (write_run(place / name, samples=300, epochs=0) for name in ("one", "two"))
    for run in (first, second):
        path = run / "predictions" / "test.parquet"
        faces = pd.read_parquet(path)
        faces.assign(subject=[f"person {n // 2}" for n in range(len(faces))]).to_parquet(path)
    table = pd.read_parquet(second / "explanations" / "region_ior.parquet")
    for region, factor in (("nose", 1.5), ("hair", 0.5)):
        table.loc[table["region"] == region, ["ior", "lift"]] *= factor
    table.to_parquet(second / "explanations" / "region_ior.parquet")
    done = compared(place, "one", "two", "resamples=1000")
    assert done.returncode == 0, done.stderr
    return place, done


def test_where_two_runs_look_is_compared_image_by_image(looking):
    place, _ = looking
    regions = json.loads((place / "out" / "comparison.json").read_text())["regions"]
    first, second = (
        pd.read_parquet(place / name / "explanations" / "region_ior.parquet")
        for name in ("one", "two")
    )
    gap = (
        first.merge(second, on=["id", "region"])
        .assign(gap=lambda rows: rows["lift_y"] - rows["lift_x"])
        .groupby("region")["gap"]
        .mean()
    )
    found = regions["figures"]["lift"]
    for region in ("nose", "hair", "mouth"):
        assert found[region]["difference"] == pytest.approx(gap[region], abs=1e-6)
    assert found["nose"]["low"] > 0 > found["hair"]["high"]
    assert found["neck_l"]["difference"] is None
    assert regions["warnings"] == []
    assert (regions["images"], regions["resampled_by"]) == (120, "subject")
    rows = pd.read_csv(place / "out" / "regions.csv").set_index(["figure", "region"])
    assert rows.loc[("lift", "nose"), "difference"] == found["nose"]["difference"]
    assert rows.loc[("ior", "nose"), "present"] == 120
    assert (place / "out" / "regions.png").stat().st_size > 10_000


def test_the_largest_differences_of_regions_come_first_within_80_columns(looking):
    _, done = looking
    said = done.stdout.partition("Where they look")[2].splitlines()
    marked = [line for line in said if line.rstrip().endswith(("more", "less"))]
    assert {line.split()[0]: line.split()[-1] for line in marked} == {
        "nose": "more", "hair": "less",
    }  # fmt: skip
    assert said.index(marked[0]) < 5
    assert max(map(len, done.stdout.partition("written:")[0].splitlines())) <= 80


def test_runs_explained_differently_are_compared_with_a_warning(looking, tmp_path):
    place, _ = looking
    shutil.copytree(place / "two", tmp_path / "two")
    path = tmp_path / "two" / "explanations" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layer": "conv_3"}))
    done = compared(tmp_path, str(place / "one"), "two")
    assert done.returncode == 0, done.stderr
    regions = json.loads((tmp_path / "out" / "comparison.json").read_text())["regions"]
    assert regions["warnings"] == ["the layer differs: A features.8, B conv_3"]
    assert regions["figures"]["lift"]["nose"]["low"] > 0
    assert "WARNING  not like with like: the layer differs: A features.8" in done.stdout


def test_a_run_without_explanations_is_said_in_one_line(looking, tmp_path):
    place, _ = looking
    shutil.copytree(place / "two", tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "explanations")
    done = compared(tmp_path, str(place / "one"), "two")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("Where they look")]
    assert line == "Where they look is not compared: B has no explanations of regions"
    regions = json.loads((tmp_path / "out" / "comparison.json").read_text())["regions"]
    assert regions == {"reason": "B has no explanations of regions"}
    assert not (tmp_path / "out" / "regions.csv").exists()


def test_files_of_predictions_have_no_regions_and_no_line_about_them(both):
    place, *_, done = both
    assert "Where they look" not in done.stdout
    assert json.loads((place / "out" / "comparison.json").read_text())["regions"] is None


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
