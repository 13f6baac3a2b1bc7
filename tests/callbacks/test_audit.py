"""The callbacks in real trainers: what they write is right, and they leave the model as it was."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer

from fer_lab.callbacks import EpochSeed, Explanations, FairnessAudit, History, PredictionWriter
from fer_lab.data import ExpWDataModule, SyntheticDataModule
from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError
from fer_lab.explain import attribute
from fer_lab.explain.regions import intersection_over_region
from fer_lab.models import BaselineCNN
from tests.callbacks.trainers import quiet_trainer
from tests.layouts import expw


def faces(**options) -> SyntheticDataModule:
    options = {"train": 70, "val": 60, "test": 61, "image_size": 48, "batch_size": 16, **options}
    return SyntheticDataModule(**options)


def trainer(folder, *callbacks, **options) -> Trainer:
    return quiet_trainer(*callbacks, max_epochs=1, logger=History(folder), **options)


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audited")
    torch.manual_seed(0)
    model, data = BaselineCNN(image_size=48), faces()
    run = trainer(
        folder,
        FairnessAudit(folder, resamples=50, min_count=5),
        PredictionWriter(folder),
        Explanations(folder, max_samples=30),
    )
    run.fit(model, data)
    run.validate(model, data, verbose=False)
    run.test(model, data, verbose=False)
    return folder, model, data


def test_region_table_equals_attribution_by_hand(audited):
    folder, model, data = audited
    table = pd.read_parquet(folder / "explanations" / "region_ior.parquet")
    model.eval()
    for batch in data.test_dataloader():
        image = batch["image"].float() / 255
        maps = attribute(model, image, model(image).argmax(1), method="hirescam")
        expected = intersection_over_region(maps, batch["regions"]).numpy()
        ids = data.manifest["id"].to_numpy()[batch["index"].numpy()]
        wide = table.pivot(index="id", columns="region", values="ior")
        found = wide.reindex(index=ids, columns=list(REGIONS)).to_numpy(dtype=float)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_patches_are_pixels_of_the_images_they_name(audited):
    folder, _, data = audited
    ids = list(data.manifest["id"])
    images = {
        int(i): image
        for batch in data.test_dataloader()
        for i, image in zip(batch["index"], batch["image"], strict=True)
    }
    with np.load(folder / "explanations" / "patches.npz", allow_pickle=False) as patches:
        for name, position, patch in zip(
            patches["nose/id"], patches["nose/position"], patches["nose/image"], strict=True
        ):
            image = images[ids.index(str(name))].permute(1, 2, 0).numpy()
            top, left = position
            assert (image[top : top + 16, left : left + 16] == patch).all()


def test_scalars_of_an_epoch_equal_the_files_of_the_same_weights(audited):
    folder, _, _ = audited
    history = pd.read_csv(folder / "metrics" / "history.csv").iloc[-1]
    facts = json.loads((folder / "metrics" / "val.json").read_text())
    assert history["val/fairness/bias"] == pytest.approx(facts["bias"]["value"], abs=1e-6)
    for attribute_name, section in facts["attributes"].items():
        for metric, found in section["metrics"].items():
            logged = history[f"val/fairness/{attribute_name}/{metric}"]
            if found["value"] is None:
                assert np.isnan(logged)
            else:
                assert logged == pytest.approx(found["value"], abs=1e-6)


def test_the_model_is_left_as_it_was(tmp_path):
    model, data = BaselineCNN(image_size=48), faces()

    class Witness(Explanations):
        def on_validation_epoch_end(self, trainer, pl_module):
            before = (
                pl_module.training,
                [len(m._forward_hooks) for m in pl_module.modules()],
                [p.requires_grad for p in pl_module.parameters()],
                [p.grad is None for p in pl_module.parameters()],
                torch.is_inference_mode_enabled(),
            )
            super().on_validation_epoch_end(trainer, pl_module)
            after = (
                pl_module.training,
                [len(m._forward_hooks) for m in pl_module.modules()],
                [p.requires_grad for p in pl_module.parameters()],
                [p.grad is None for p in pl_module.parameters()],
                torch.is_inference_mode_enabled(),
            )
            self.same = before == after

    witness = Witness(tmp_path, max_samples=20)
    trainer(tmp_path, witness).fit(model, data)
    assert witness.same


def test_the_audit_does_not_change_the_training(tmp_path):
    weights = []
    for callbacks in (
        [EpochSeed(3)],
        [
            EpochSeed(3),
            FairnessAudit(tmp_path),
            PredictionWriter(tmp_path),
            Explanations(tmp_path, max_samples=20),
        ],
    ):
        torch.manual_seed(0)
        model = BaselineCNN(image_size=48)
        trainer(tmp_path, *callbacks).fit(model, faces())
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


def test_the_same_images_are_explained_every_time():
    data = faces()
    data.prepare_data()
    data.setup("fit")
    drawn = [
        sorted(int(i) for batch in data.audit_dataloader("val", 28) for i in batch["index"])
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 28


def test_data_without_masks_have_no_region_figures_which_is_said_once(tmp_path, caplog):
    root = tmp_path / "faces"
    expw.write(root, odd=False)
    data = ExpWDataModule(root, image_size=48, batch_size=16)
    run = trainer(tmp_path, Explanations(tmp_path))
    run.fit(BaselineCNN(image_size=48), data)
    run.test(BaselineCNN(image_size=48), data, verbose=False)
    said = [r for r in caplog.records if "no region masks" in r.getMessage()]
    assert len(said) == 1
    facts = json.loads((tmp_path / "explanations" / "summary.json").read_text())
    assert (facts["regions"], facts["random_model"]) == ({}, None)
    assert facts["samples"] == facts["without_regions"] > 0
    assert facts["region_source"]["expw"]["source"] is None
    assert facts["faithfulness"]["ablation"] is None
    assert facts["faithfulness"]["deletion"]["gain"]["value"] is not None
    assert not list((tmp_path / "explanations").glob("merged*"))


def test_bare_loaders_cannot_be_audited(tmp_path):
    data = faces()
    data.prepare_data()
    data.setup("fit")
    model = BaselineCNN(image_size=48)
    with pytest.raises(ConfigError, match="who is in the images"):
        trainer(tmp_path, FairnessAudit(tmp_path), PredictionWriter(tmp_path)).validate(
            model, data.val_dataloader(), verbose=False
        )


def test_an_audit_without_predictions_is_refused_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match="predictions"):
        trainer(tmp_path, FairnessAudit(tmp_path)).fit(BaselineCNN(image_size=48), faces())


def test_the_order_of_the_callbacks_does_not_matter(tmp_path):
    facts = []
    for place in (tmp_path / "one", tmp_path / "other"):
        torch.manual_seed(0)
        callbacks = [FairnessAudit(place, resamples=20), PredictionWriter(place)]
        if place.name == "other":
            callbacks.reverse()
        trainer(place, *callbacks).test(BaselineCNN(image_size=48), faces(), verbose=False)
        facts.append(json.loads((place / "metrics" / "test.json").read_text()))
    assert facts[0] == facts[1]


def test_predictions_know_groups_and_classes_that_nobody_has(audited):
    folder, _, data = audited
    table = pd.read_parquet(folder / "predictions" / "test.parquet")
    assert tuple(table["label"].cat.categories) == data.classes
    for name, groups in data.groups.items():
        assert tuple(table[name].cat.categories) == (*groups, "unknown")
        assert set(table[f"{name}_source"]) == {"synthetic"}


def test_predictions_name_the_subject_where_one_is_known(tmp_path):
    data = faces()
    data.prepare_data()
    data.setup("test")
    data.manifest.loc[data.test_rows[:30], "subject"] = "somebody"
    trainer(tmp_path, PredictionWriter(tmp_path)).test(
        BaselineCNN(image_size=48), data, verbose=False
    )
    table = pd.read_parquet(tmp_path / "predictions" / "test.parquet").set_index("id")
    ids = data.manifest["id"].to_numpy()[data.test_rows]
    assert (table.loc[ids[:30], "subject"] == "somebody").all()
    assert table.loc[ids[30:], "subject"].isna().all()
