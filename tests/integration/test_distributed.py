"""Two processes on one job: one run, one record, and the same audit as one process makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import fer_lab
from fer_lab.data import SyntheticDataModule
from fer_lab.models.checkpoints import load_checkpoint
from tests.integration.runs import SMALL, finish, only_run, record, run_task

pytestmark = pytest.mark.slow

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")

# 41 faces, of which few are of some races: all of one race are at odd places or all at even ones,
# and so in one process. One face shows disgust, fewer than there are processes. Batches of ten
# are three in the first process and two in the second.
FACES = (
    "dataset.test=41",
    "dataset.seed=36",
    "dataset.test_population={shares: {race: {white: 0.5, black: 0.2, asian: 0.12, indian: 0.1, "
    "latinx: 0.05, middle_eastern: 0.03}}, expressions: {all: {disgust: 0.15}}}",
    "recipe.batch_size=5",
    "callbacks.fairness.min_count=1",
    "callbacks.fairness.resamples=100",
    "explain.check_samples=9",
)

# Batches of other sizes round differently: probabilities in the eighth place, maps in the sixth.
PROBABILITY = 1e-6
MAP = 2e-5
# Of a summary, which has six places behind the point.
ROUNDED = 1e-5


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a training on two processes, and what it printed."""
    place = tmp_path_factory.mktemp("trained")
    done = finish(place, *SMALL, *TWO, "dataset.train=240", "recipe.batch_size=16")
    assert done.returncode == 0, done.stderr
    return only_run(place), done


def write_undecided(path: Path, trained: Path) -> None:
    """A checkpoint whose answers differ: two epochs teach a model one answer to everything."""
    best = trained / "checkpoints" / "best.ckpt"
    model = load_checkpoint(best).eval()
    data = SyntheticDataModule(train=240, val=140, test=41, image_size=48, classes=7)
    data.setup("test")
    last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        images = torch.cat([batch["image"] for batch in data.test_dataloader()]).float() / 255
        last.bias.copy_(last.bias - model(images).mean(0))
        last.weight.mul_(20)
        last.bias.mul_(20)
    whole = torch.load(best, weights_only=True)
    torch.save({**whole, "state_dict": model.state_dict()}, path)


@pytest.fixture(scope="module")
def both(trained, tmp_path_factory):
    """The folders of one explanation by two processes and by one."""
    place = tmp_path_factory.mktemp("explained")
    (place / "tests").symlink_to(Path(__file__).parents[1])
    write_undecided(place / "undecided.ckpt", trained[0])
    asked = (f"checkpoint={place / 'undecided.ckpt'}", *FACES)
    watch = f"{{_target_: tests.integration.processes.Collectives, folder: '{place}'}}"
    found = []
    for name, more in (("two", (*TWO, f"+callbacks.watch={watch}")), ("one", ())):
        run, done = run_task(place, "explain", *asked, *more, f"hydra.run.dir=outputs/{name}/run")
        assert done.returncode == 0, done.stderr
        found.append(run)
        run.rename(place / name)
    return place / "two", place / "one"


def test_a_training_is_one_run_with_one_record_and_one_table(trained):
    folder, _ = trained
    assert record(folder)["status"] == "finished"
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 1
    assert len(fer_lab.load_run(folder).history) == 2


def test_a_training_says_everything_once(trained):
    _, done = trained
    assert done.stdout.count("report.html") == 1
    said = [line for line in done.stderr.splitlines() if line.strip()]
    assert sum(line.startswith("epoch ") for line in said) == 2
    assert len(set(said)) == len(said), done.stderr
    assert "sync_dist" not in done.stderr
    assert "deprecated" not in done.stderr


def test_the_faces_are_shared_as_unevenly_as_the_test_wants(both):
    shares = pd.read_parquet(both[1] / "predictions" / "test.parquet")
    assert len(shares) % 2 == 1
    assert (shares["label"] == "disgust").sum() == 1
    assert shares["prediction"].nunique() > 2
    place = shares["id"].str.rsplit("/", n=1).str[-1].astype(int) % 2
    alone = place.groupby(shares["race"], observed=True).nunique() == 1
    assert alone.any()
    assert not alone.all()
    batches = [_collectives(both, rank)["batches"] for rank in range(2)]
    assert [len(seen) for seen in batches] == [6, 4]


def test_no_process_waits_for_another_between_batches(both):
    for rank in range(2):
        seen = _collectives(both, rank)
        assert len(set(seen["batches"])) == 1
        assert seen["after"] > seen["batches"][-1]  # or nothing was counted


def _collectives(both: tuple[Path, Path], rank: int) -> dict[str, Any]:
    return json.loads((both[0].parent / f"collectives-{rank}.json").read_text())


def test_every_file_is_there(both):
    two, one = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in both
    )
    assert two == one
    assert "explanations/intensity.parquet" in one


@pytest.mark.parametrize("table", ["predictions/test", "explanations/intensity"])
def test_each_face_has_one_row_in_the_same_order(both, table):
    found, expected = (pd.read_parquet(folder / f"{table}.parquet") for folder in both)
    assert len(expected) == 41
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=0, atol=PROBABILITY)


@pytest.mark.parametrize(
    "table", ["region_ior", "random_model_region_ior", "group_differences", "faithfulness"]
)
def test_figures_of_the_maps_are_those_of_one_process(both, table):
    found, expected = (
        pd.read_parquet(folder / "explanations" / f"{table}.parquet") for folder in both
    )
    assert len(expected) > 0
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=0, atol=MAP)


@pytest.mark.parametrize(
    ("document", "within"),
    [
        ("metrics/test", PROBABILITY),  # counts, gaps, intervals, nulls, calibration
        ("explanations/summary", ROUNDED),
        ("explanations/merged_test", 0),
        ("explanations/intensity", PROBABILITY),
    ],
)
def test_documents_are_those_of_one_process(both, document, within):
    found, expected = (
        _flat(json.loads((folder / f"{document}.json").read_text())) for folder in both
    )
    assert found.keys() == expected.keys()
    assert len(expected) > 9
    for name, value in expected.items():
        if isinstance(value, float):
            assert found[name] == pytest.approx(value, rel=0, abs=within), name
        else:
            assert found[name] == value, name


def _flat(node: Any, name: str = "") -> dict[str, Any]:
    """Every value of a document by its path."""
    if isinstance(node, dict):
        parts = [_flat(below, f"{name}/{key}") for key, below in node.items()]
    elif isinstance(node, list):
        parts = [_flat(below, f"{name}/{place}") for place, below in enumerate(node)]
    else:
        return {name: node}
    return {key: value for part in parts for key, value in part.items()}


@pytest.mark.parametrize("arrays", ["patches", "merged_test"])
def test_patches_and_merged_heatmaps_are_those_of_one_process(both, arrays):
    found, expected = (dict(np.load(folder / "explanations" / f"{arrays}.npz")) for folder in both)
    assert found.keys() == expected.keys()
    assert expected
    for name, value in expected.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=MAP, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_the_record_has_the_same_figures(both):
    found, expected = (record(folder) for folder in both)
    assert found["data"] == expected["data"]
    assert found["region_source"] == expected["region_source"]
    assert found["summary"] == pytest.approx(expected["summary"], abs=PROBABILITY)
