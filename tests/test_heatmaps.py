"""``fer-lab heatmaps`` from its configuration to its page, over planted runs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from scipy.stats import pearsonr

from fer_lab.configuration import config_directory, register_resolvers
from fer_lab.errors import ConfigError, DataError
from fer_lab.heatmaps import heatmaps
from tests.report.merged_runs import LABELS, planted, three_way, write_run, write_study_runs

FILES = {
    *("heatmaps.npz", "distances.csv", "heatmaps.json", "linkage.csv", "report.html"),
    *("heatmaps.png", "dendrogram.png", "differences.png"),
}


def run(folder, *overrides: str):
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        cfg = compose("heatmaps", overrides=["resamples=20", *overrides])
    folder.mkdir()
    return heatmaps(cfg, folder)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("multirun")
    write_study_runs(folder)
    return folder


def test_a_sweep_becomes_files_figures_a_page_and_a_summary(sweep, tmp_path, capsys):
    study = run(tmp_path / "out", f"runs=['{sweep}']")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    facts = json.loads((tmp_path / "out" / "heatmaps.json").read_text())
    assert facts == study.facts
    assert [training["name"] for training in facts["trainings"]] == ["FE", "MA", "MI"]
    said = " ".join(capsys.readouterr().out.split())
    pair = facts["training_pairs"][0]
    assert f"{pair['first']} and {pair['second']} look at faces most differently" in said
    assert "MI most alike" in said
    assert "18 heatmaps: 3 runs" in said
    assert "report.html" in said


def test_distances_written_are_those_of_the_heatmaps_written(sweep, tmp_path):
    run(tmp_path / "out", f"runs=['{sweep}']")
    table = pd.read_csv(tmp_path / "out" / "distances.csv", index_col=0)
    with np.load(tmp_path / "out" / "heatmaps.npz") as arrays:
        maps = dict(zip(arrays["names"].tolist(), arrays["heatmaps"], strict=True))
    for one, other in (("MI-FE/happy", "MA-FE/happy"), ("FE-FE/sad", "MI-MA/surprise")):
        expected = 1 - pearsonr(maps[one].ravel(), maps[other].ravel()).statistic
        assert table.loc[one, other] == pytest.approx(expected, abs=1e-5)


def test_groups_and_expressions_are_chosen(sweep, tmp_path):
    study = run(tmp_path / "out", f"runs=['{sweep}']", "groups=[male]", "expressions=[sad]")
    assert study.names == ("FE-MA/sad", "MA-MA/sad", "MI-MA/sad")
    assert study.contrasts == {}
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES - {"differences.png"}


def test_other_groups_are_called_as_they_are(tmp_path):
    patterns = {
        (group, label): shape
        for group, known in (("white", "female"), ("black", "male"))
        for label in LABELS
        for shape in [three_way()["female"][known, label]]
    }
    for number, split in enumerate(("white", "black")):
        write_run(
            tmp_path / "runs" / split, planted(patterns, seed=number), trained_on=split,
            facts={"attribute": "race"},
        )  # fmt: skip
    study = run(tmp_path / "out", f"runs=['{tmp_path / 'runs'}']", "groups=[white,black]")
    assert study.names[0] == "black-white/happy"
    assert next(iter(study.contrasts["sad"])) == "white-white − black-black"


def test_what_is_left_out_is_said_in_every_place(sweep, tmp_path, capsys):
    few = planted(three_way()["female"], images=12)
    write_run(tmp_path / "runs" / "few", few, trained_on="mixed_matched")
    with pytest.raises(DataError, match="12 images, fewer than 30"):
        run(tmp_path / "none", f"runs=['{tmp_path / 'runs'}']")
    overrides = (f"runs=['{sweep}','{tmp_path / 'runs'}']", "min_images=10")
    study = run(tmp_path / "out", *overrides)
    assert "mixed_matched-FE/happy" in study.names
    assert any("12 and 200 of female happy" in text for text in study.facts["warnings"])
    assert "WARNING" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "error", "what"),
    [
        (["runs=[]"], ConfigError, "no runs to compare"),
        (["runs=[nowhere]"], DataError, "no such folder"),
        (["runs=[{a: 1}]"], ConfigError, "names nothing"),
        (["resamples=0", "runs=[x]"], ConfigError, "no whole number"),
    ],
)
def test_bad_options_are_one_error(tmp_path, monkeypatch, overrides, error, what):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=what):
        run(tmp_path / "out", *overrides)
