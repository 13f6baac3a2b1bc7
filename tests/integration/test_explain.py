"""``fer-lab explain`` as a user starts it: every summary of a checkpoint, on data of anybody's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fer_lab
from fer_lab.explain.merged_files import read_merged
from tests.integration.runs import SMALL, finish, only_run, record, run_task
from tests.layouts import affectnet

FACES = ("dataset.train=280", "dataset.val=140", "dataset.test=141")


def explained(place: Path, *overrides: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
    return run_task(place, "explain", *overrides)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("trained")
    done = finish(place, *SMALL, *FACES, "logger=none", "explain=none")
    assert done.returncode == 0, done.stderr
    return only_run(place)


@pytest.fixture(scope="module")
def summaries(trained, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Explained on the drawn faces, beside two maps that people could have made."""
    maps = tmp_path_factory.mktemp("maps")
    down, across = np.mgrid[0:275, 0:224]
    mouth = np.exp(-((across - 112) ** 2 + (down - 205) ** 2) / 800)
    Image.fromarray((255 * mouth).astype(np.uint8)).save(maps / "happy.png")
    np.save(maps / "female_anger.npy", 1 - mouth)
    (maps / "notes.txt").write_text("by hand")
    folder, done = explained(
        tmp_path_factory.mktemp("explained"),
        *(f"checkpoint={trained}", *FACES, f"maps={maps}", "explain.check_samples=14"),
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_every_summary_is_there(summaries):
    folder, _ = summaries
    facts = json.loads((folder / "explanations" / "summary.json").read_text())
    assert record(folder)["task"] == "explain"
    assert record(folder)["region_source"]["synthetic"]["source"] == "dataset"
    assert facts["samples"] == 141
    assert facts["faithfulness"]["samples"] == 14
    assert facts["random_model"]["regions"]
    assert (folder / "explanations" / "intensity.json").is_file()
    assert read_merged(folder / "explanations" / "merged_test.npz").cells[0] == (
        "female",
        "neutral",
    )
    shown = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"prototype", "patches", "faithfulness", "region_differences"} <= shown


def test_the_page_says_how_far_to_trust_the_maps(summaries):
    folder, _ = summaries
    facts = fer_lab.load_run(folder).explanation["faithfulness"]
    page = (folder / "report.html").read_text()
    assert f"{facts['deletion']['gain']['value']:.2f}" in page
    assert "random" in page
    assert "history.csv" not in page  # nothing was trained, so no curve is missing


def test_maps_of_people_are_compared(summaries):
    folder, done = summaries
    table = pd.read_csv(folder / "explanations" / "supplied.csv")
    assert set(table["expression"]) == {"happy", "anger"}
    merged = read_merged(folder / "explanations" / "merged_test.npz")
    cell = merged.cells.index(("female", "anger"))
    down, across = np.mgrid[0:275, 0:224]
    supplied = 1 - np.exp(-((across - 112) ** 2 + (down - 205) ** 2) / 800)
    heatmap = merged.heatmaps()[cell]
    known = np.isfinite(heatmap)
    expected = np.corrcoef(heatmap[known], supplied[known])[0, 1]
    row = table[table["expression"] == "anger"].iloc[0]
    assert row["pearson"] == pytest.approx(expected, abs=2e-3)
    assert "notes.txt" in done.stderr + done.stdout
    page = (folder / "report.html").read_text()
    assert "Supplied maps" in page
    assert f"{row['pearson']:+.2f}".replace("-", "\N{MINUS SIGN}") in page.replace(
        "-", "\N{MINUS SIGN}"
    )


def test_a_model_is_explained_on_a_dataset_it_has_not_seen(trained, tmp_path):
    written = affectnet.write_csv_release(tmp_path / "faces", odd=False)
    folder, done = explained(
        tmp_path / "run",
        *(f"checkpoint={trained}", "dataset=affectnet", f"dataset.root={written.root}"),
        *("explain=lrp", "explain.check_samples=4", "split.by=image"),
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads((folder / "explanations" / "summary.json").read_text())
    assert facts["method"] == "lrp"
    assert facts["region_source"]["affectnet"]["source"] == "landmarks"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["checkpoint={trained}", "explain.layer=backbone.features.99"], "near ones: backbone."),
        (["checkpoint={trained}", "explain=none"], "nothing to do without explanations"),
        (["checkpoint={trained}", "maps=nowhere"], "no such folder of maps"),
        ([], "name the model to explain"),
    ],
)
def test_mistakes_are_named_without_a_traceback(trained, tmp_path, overrides, words):
    given = [each.format(trained=trained) for each in overrides]
    folder, done = explained(tmp_path / "run", *given, *FACES)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert record(folder)["status"] == "failed"
