from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer

from fer_lab.callbacks import Explanations
from fer_lab.callbacks.region_masks import RegionMasks
from fer_lab.data import AffectNetDataModule, FaceDataModule, SyntheticDataModule
from fer_lab.data.pixels.masks import NO_REGION
from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError
from fer_lab.explain import explain_prediction
from fer_lab.explain.face_space import normalize
from fer_lab.explain.merged_files import read_merged
from fer_lab.faces.parsing import load_parser
from fer_lab.faces.polygons import DRAWN
from fer_lab.models import BaselineCNN
from tests.callbacks.trainers import quiet_trainer
from tests.layouts import affectnet


def trainer(folder, **options) -> Trainer:
    return quiet_trainer(Explanations(folder, **options))


class Pass(NamedTuple):
    data: SyntheticDataModule
    model: BaselineCNN
    before: dict[str, torch.Tensor]


def run_test(folder, **options) -> Pass:
    data = SyntheticDataModule(train=70, val=60, test=61, image_size=48, batch_size=16)
    model = BaselineCNN(image_size=48)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer(folder, **options).test(model, data, verbose=False)
    return Pass(data, model, before)


def test_a_limited_test_set_is_balanced_and_the_summary_says_so(tmp_path):
    options = {"segments": 9, "samples": 16}
    data, *_ = run_test(
        tmp_path, method="lime", options=options, max_test_samples=14, check_samples=0
    )
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
    with pytest.raises(ConfigError, match="gendr"):
        run_test(tmp_path, balance_by="gendr")
    with pytest.raises(ConfigError, match="agee"):
        run_test(tmp_path, merged_by="agee")
    assert not (tmp_path / "explanations").exists()


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """A pass over a test set with every part of the summary."""
    folder = tmp_path_factory.mktemp("run")
    return folder / "explanations", run_test(folder, check_samples=8)


def test_means_by_true_and_predicted_class_are_those_of_the_table(explained):
    folder, (data, *_) = explained
    facts = json.loads((folder / "summary.json").read_text())
    table = pd.read_parquet(folder / "region_ior.parquet")
    labels = data.manifest.set_index("id")["label"].astype(str)
    assert (table["label"].astype(str) == table["id"].map(labels)).all()
    for column in ("label", "prediction"):
        by_class = facts[f"by_{column}"]
        assert set(by_class) == set(table[column].astype(str))
        for name, regions in by_class.items():
            part = table[(table[column] == name) & table["lift"].notna()]
            nose = part[part["region"] == "nose"]
            assert regions["nose"]["present"] == len(nose)
            assert regions["nose"]["lift"] == pytest.approx(nose["lift"].mean(), abs=1e-5)


def test_the_merged_heatmaps_are_means_of_the_warped_maps(explained):
    folder, (data, model, _) = explained
    merged = read_merged(folder / "merged_test.npz")
    facts = json.loads((folder / "merged_test.json").read_text())
    assert facts["faces"] == 61
    assert sum(facts["images"].values()) == 61 - facts["unusable"]
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for batch in data.test_dataloader():
        batch = data.on_after_batch_transfer(batch, 0)
        maps = explain_prediction(model, batch["image"]).attribution
        for face, warped in enumerate(normalize(maps, batch["landmarks"])):
            row = data.manifest.iloc[int(batch["index"][face])]
            found.setdefault((row["gender"], row["label"]), []).append(warped.numpy())
    heatmaps = merged.heatmaps()
    seen = 0
    for cell, heatmap in zip(merged.cells, heatmaps, strict=True):
        assert facts["images"]["/".join(cell)] == len(found.get(cell, []))
        if cell in found:
            mean = torch.from_numpy(np.stack(found[cell])).nanmean(0).numpy()
            np.testing.assert_allclose(heatmap, mean, atol=2e-3)
            seen += 1
    assert seen >= 10


def test_the_maps_are_tested_and_the_figures_are_those_of_the_table(explained):
    folder, _ = explained
    facts = json.loads((folder / "summary.json").read_text())["faithfulness"]
    table = pd.read_parquet(folder / "faithfulness.parquet")
    assert facts["samples"] == len(table) == 8
    gain = [
        np.trapezoid(row.deletion_random, dx=0.05) - np.trapezoid(row.deletion, dx=0.05)
        for row in table.itertuples()
    ]
    assert facts["deletion"]["gain"]["value"] == pytest.approx(np.mean(gain), abs=1e-5)
    low, high = (facts["deletion"]["gain"][end] for end in ("low", "high"))
    assert low <= np.mean(gain) <= high
    assert facts["ablation"]["drop"] == pytest.approx(table["drop"].mean(), abs=1e-5)
    left = [each[-1] for each in table["cascade"]]
    assert facts["randomisation"]["left"]["value"] == pytest.approx(np.nanmean(left), abs=1e-5)
    assert facts["randomisation"]["modules"][0].startswith("backbone.head")
    assert -1 <= facts["randomisation"]["left"]["value"] <= 1


def test_the_random_model_stands_beside_and_the_weights_are_as_before(explained):
    folder, (_, model, before) = explained
    facts = json.loads((folder / "summary.json").read_text())
    assert 0 < facts["random_model"]["samples"] <= 8
    assert facts["random_model"]["regions"]["skin"]["ior"] != facts["regions"]["skin"]["ior"]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_groups_are_compared_each_with_the_rest(explained):
    folder, (data, *_) = explained
    table = pd.read_parquet(folder / "group_differences.parquet")
    pairs = set(zip(table["attribute"], table["first"], table["second"], strict=True))
    assert ("gender", "female", "male") in pairs
    assert all(second == "others" for attribute, _, second in pairs if attribute == "race")
    regions = pd.read_parquet(folder / "region_ior.parquet")
    nose = regions[(regions["region"] == "nose") & regions["lift"].notna()]
    gender = nose["id"].map(data.manifest.set_index("id")["gender"])
    means = nose.groupby(gender, observed=True)["lift"].mean()
    row = table[
        (table["attribute"] == "gender") & (table["region"] == "nose") & (table["figure"] == "lift")
    ].iloc[0]
    assert row["difference"] == pytest.approx(means["female"] - means["male"], abs=1e-5)


def test_outlines_from_landmarks_stand_in_for_masks(tmp_path):
    written = affectnet.write_csv_release(tmp_path / "faces", odd=False)
    data = AffectNetDataModule(written.root, image_size=48, batch_size=16)
    trainer(tmp_path).test(BaselineCNN(image_size=48), data, verbose=False)
    facts = json.loads((tmp_path / "explanations" / "summary.json").read_text())
    assert facts["region_source"]["affectnet"]["source"] == "landmarks"
    assert {"nose", "l_eye", "skin"} <= set(facts["regions"]) <= set(DRAWN)


def test_a_parser_without_weights_is_named_with_the_way_to_turn_it_off(tmp_path):
    written = affectnet.write_csv_release(tmp_path / "faces", odd=False)
    data = AffectNetDataModule(written.root, image_size=48, batch_size=16)
    run = trainer(tmp_path, parser="bisenet", parser_dir=tmp_path)
    with pytest.raises(ConfigError, match=r"parsing_bisenet.pth[\s\S]*explain.parser=null"):
        run.test(BaselineCNN(image_size=48), data, verbose=False)


def test_a_face_whose_landmarks_leave_the_image_is_set_aside_and_counted(tmp_path):
    class Cropped(SyntheticDataModule):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            batch = super().on_after_batch_transfer(batch, dataloader_idx)
            batch["landmarks"] = batch["landmarks"].clone()
            batch["landmarks"][0, 8] = 1000.0
            return batch

    data = Cropped(train=70, val=60, test=61, image_size=48, batch_size=16, eval_batch_size=16)
    trainer(tmp_path, check_samples=0).test(BaselineCNN(image_size=48), data, verbose=False)
    facts = json.loads((tmp_path / "explanations" / "merged_test.json").read_text())
    assert (facts["unusable"], sum(facts["images"].values())) == (4, 57)


def test_a_parser_with_local_weights_says_what_is_where(tmp_path):
    from facexlib.parsing.bisenet import BiSeNet

    torch.manual_seed(0)
    torch.save(BiSeNet(num_class=19).state_dict(), tmp_path / "parsing_bisenet.pth")
    written = affectnet.write_csv_release(tmp_path / "faces", odd=False)
    data = AffectNetDataModule(written.root, image_size=48, batch_size=16)
    run = trainer(
        tmp_path, parser="bisenet", parser_dir=tmp_path, max_test_samples=3, check_samples=0
    )
    run.test(BaselineCNN(image_size=48), data, verbose=False)
    facts = json.loads((tmp_path / "explanations" / "summary.json").read_text())
    assert facts["region_source"]["affectnet"]["source"] == "parser"
    table = pd.read_parquet(tmp_path / "explanations" / "region_ior.parquet")
    # Every pixel belongs to a region of the parser's.
    assert table.groupby("id")["area"].sum().to_numpy() == pytest.approx(np.ones(3), abs=1e-4)
    batch = next(iter(data.test_dataloader()))
    masks = load_parser("bisenet", tmp_path)(batch["image"][:1].float() / 255)
    name = data.manifest["id"].iloc[int(batch["index"][0])]
    if name in set(table["id"]):
        known = {REGIONS[code] for code in masks.unique().tolist()}
        assert known == set(table.loc[table["id"] == name, "region"].astype(str))


def test_heatmaps_can_be_of_any_attribute_and_of_none(tmp_path):
    run_test(tmp_path, merged_by="glasses", check_samples=0)
    merged = read_merged(tmp_path / "explanations" / "merged_test.npz")
    assert {group for group, _ in merged.cells} == {"yes", "no"}
    run_test(tmp_path / "none", merged_by=None, check_samples=0)
    assert not list((tmp_path / "none").rglob("merged*"))


def test_masks_of_a_source_that_is_not_looked_at_are_not_used(tmp_path):
    """Of two datasets one is outlined, the other would have masks of its own."""
    drawn = {"train": 20, "val": 10, "test": 10}
    written = affectnet.write_csv_release(tmp_path / "faces", odd=False)
    data = FaceDataModule(
        {"synthetic": drawn, "affectnet": {"root": written.root}},
        image_size=48,
        batch_size=16,
        harmonise={"gender": {}},
    )
    data.prepare_data()
    data.setup("test")
    both = RegionMasks(data, order=["prepared", "landmarks"])
    assert {name: found.source for name, found in both.sources.items()} == {
        "synthetic": "landmarks",
        "affectnet": "landmarks",
    }
    data.manifest["landmarks"] = -1  # now only the drawings, which come with theirs, have any
    masks = RegionMasks(data, order=["prepared", "landmarks"])
    assert masks.sources["affectnet"].source is None
    none = RegionMasks(data, order=["prepared"])
    assert not none
    for batch in data.test_dataloader():
        batch = data.on_after_batch_transfer(batch, 0)
        batch["regions"] = torch.zeros_like(batch["regions"])  # as if all came with masks
        found = masks.of(batch)
        own = data.manifest["dataset"].iloc[batch["index"].tolist()] == "synthetic"
        drawn_here = torch.from_numpy(own.to_numpy().copy())
        assert (found[~drawn_here] == NO_REGION).all()
        assert all((face == REGIONS.index("nose")).any() for face in found[drawn_here])
        assert not (found[drawn_here] == REGIONS.index("hair")).any()
