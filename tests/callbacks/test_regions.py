from __future__ import annotations

import json

import pandas as pd
import pytest
from pytorch_lightning import Trainer

from fer_lab.callbacks import RegionSummaries
from fer_lab.data import SyntheticDataModule
from fer_lab.errors import ConfigError
from fer_lab.models import BaselineCNN


def run_test(folder, **options) -> SyntheticDataModule:
    data = SyntheticDataModule(train=70, val=60, test=61, image_size=48, batch_size=16)
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[RegionSummaries(folder, **options)],
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.test(BaselineCNN(image_size=48), data, verbose=False)
    return data


def test_a_limited_test_set_is_balanced_and_the_summary_says_so(tmp_path):
    options = {"segments": 9, "samples": 16}
    data = run_test(tmp_path, method="lime", options=options, max_test_samples=14)
    facts = json.loads((tmp_path / "explanations" / "summary.json").read_text())
    assert facts["method"] == "lime"
    assert facts["options"] == options
    assert (facts["samples"], facts["max_samples"], facts["split_samples"]) == (14, 14, 61)
    ids = pd.read_parquet(tmp_path / "explanations" / "region_ior.parquet")["id"].unique()
    rows = data.manifest.set_index("id").loc[ids]
    assert (rows["split"] == "test").all()
    assert rows.groupby("label", observed=True).size().max() <= 3


def test_what_cannot_be_explained_is_refused_before_the_first_batch(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'samples'"):
        run_test(tmp_path, method="lime", options={"sample": 9})
    with pytest.raises(ConfigError, match="layer"):
        run_test(tmp_path, method="lime", layer="backbone.relu3")
    assert not (tmp_path / "explanations").exists()
