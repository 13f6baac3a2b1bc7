"""Two processes on one job: one run, one record, and the same audit as one process would make."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pytorch_lightning import Trainer

import fer_lab
from fer_lab.callbacks import Explanations, FairnessAudit, PredictionWriter
from fer_lab.data import SyntheticDataModule
from fer_lab.explain.merged_files import read_merged
from tests.integration.runs import SMALL, finish, only_run, record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folder of a training on two processes, and of the same audit by one."""
    place = tmp_path_factory.mktemp("distributed")
    options = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "classes=6")
    done = finish(place, *SMALL, *options, "dataset.train=240")
    assert done.returncode == 0, done.stderr
    folder, alone = only_run(place), place / "alone"
    Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[
            FairnessAudit(alone, resamples=100, seed=1),
            PredictionWriter(alone),
            Explanations(alone, seed=1),
        ],
    ).test(
        fer_lab.load_run(folder).model(),
        SyntheticDataModule(train=240, val=140, test=141, image_size=48, classes=6),
        verbose=False,
    )
    return folder, alone, done


def test_one_run_with_one_record_and_one_table(both):
    folder, _, done = both
    assert record(folder)["status"] == "finished"
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 1
    assert done.stdout.count("report.html") == 1
    assert len(fer_lab.load_run(folder).history) == 2


def test_an_odd_number_of_images_is_counted_once_each(both):
    folder, alone, _ = both
    found, expected = (
        pd.read_parquet(place / "predictions" / "test.parquet") for place in (folder, alone)
    )
    assert len(found) == 141
    assert list(found["id"]) == list(expected["id"])
    probabilities = [frame.filter(like="prob_").to_numpy() for frame in (found, expected)]
    np.testing.assert_allclose(*probabilities, atol=1e-6)


def test_fairness_is_that_of_one_process(both):
    folder, alone, _ = both
    found, expected = (
        json.loads((place / "metrics" / "test.json").read_text()) for place in (folder, alone)
    )
    assert found == expected


def test_regions_and_patches_are_those_of_one_process(both):
    folder, alone, _ = both
    found, expected = (
        pd.read_parquet(place / "explanations" / "region_ior.parquet") for place in (folder, alone)
    )
    pd.testing.assert_frame_equal(found, expected, atol=1e-5, check_exact=False)
    with (
        np.load(folder / "explanations" / "patches.npz") as one,
        np.load(alone / "explanations" / "patches.npz") as other,
    ):
        assert set(one) == set(other)
        for name in one:
            if name.endswith("/score"):
                np.testing.assert_allclose(one[name], other[name], atol=1e-4)


def test_merged_heatmaps_and_tests_of_the_maps_are_those_of_one_process(both):
    folder, alone, _ = both
    found, expected = (
        read_merged(place / "explanations" / "merged_test.npz") for place in (folder, alone)
    )
    assert found.cells == expected.cells
    np.testing.assert_array_equal(found.count, expected.count)
    np.testing.assert_allclose(found.heatmaps(), expected.heatmaps(), atol=2e-3)
    found, expected = (
        pd.read_parquet(place / "explanations" / "faithfulness.parquet")
        for place in (folder, alone)
    )
    assert list(found["id"]) == list(expected["id"])
    curves = [np.stack(frame["insertion"]) for frame in (found, expected)]
    np.testing.assert_allclose(*curves, atol=1e-3)
