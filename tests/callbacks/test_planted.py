from __future__ import annotations

import json
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch

from fer_lab.callbacks.planted import PlantedShortcut
from fer_lab.data import FaceDataModule
from fer_lab.data.manifest import assets
from fer_lab.data.synthetic.shortcuts import case_of
from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError
from fer_lab.explain.attribution import attribute
from fer_lab.explain.regions import intersection_over_region
from fer_lab.models import BaselineCNN
from tests.callbacks.trainers import quiet_trainer


def faces(test: int = 60) -> FaceDataModule:
    source = {
        "train": 40,
        "val": 10,
        "test": test,
        "classes": ["neutral", "happy"],
        "population": {
            "shares": {"age": {"0-15": 0, "16-32": 0, "33-53": 1, "54+": 1}},
            "accessories": dict.fromkeys(("hat", "earrings", "lipstick", "blond"), 0.3),
            "planted": case_of("gender-glasses").rules(0.5),
        },
    }
    return FaceDataModule(
        {"synthetic": source},
        target="gender",
        classes=["female", "male"],
        attributes=[],
        image_size=64,
    )


def explained(folder: Path, data: FaceDataModule, **options) -> BaselineCNN:
    methods = options.pop("methods", {"hirescam": {}, "lrp": {}, "occlusion": None})
    case = options.pop("case", "gender-glasses")
    torch.manual_seed(0)
    model = BaselineCNN(2, image_size=64)
    callback = PlantedShortcut(folder, case=case, strength=0.5, methods=methods, **options)
    quiet_trainer(callback).test(model, data, verbose=False)
    return model.eval()


def test_facts_equal_explaining_and_drawing_by_hand(tmp_path):
    data = faces()
    model = explained(tmp_path, data, max_samples=24, layers=["backbone.relu2"])
    folder = tmp_path / "explanations"
    facts = json.loads((folder / "planted.json").read_text())
    rows = pd.read_parquet(folder / "planted.parquet")
    effects = pd.read_parquet(folder / "planted_effects.parquet")

    assert [(way["method"], way["layer"]) for way in facts["ways"]] == [
        ("hirescam", "backbone.relu2"),
        ("lrp", ""),
    ]
    assert facts["grids"] == {"backbone.relu2": 32}
    seen = data.manifest.set_index("id").loc[rows["id"].unique()]
    assert (seen["split"] == "test").all()
    cells = seen.groupby(["label", "attribute_glasses"], observed=True).size()
    assert cells.tolist() == [6, 6, 6, 6]

    reader = assets(data.manifest).readers["synthetic"]
    wearing = seen[seen["attribute_glasses"] == "yes"]
    assert set(effects.loc[effects["attribute"] == "glasses", "id"]) == set(wearing.index)
    samples = [reader.read(path, 64) for path in wearing["path"]]
    image = torch.stack([torch.from_numpy(each.image) for each in samples]).permute(0, 3, 1, 2)
    regions = torch.stack([torch.from_numpy(each.regions) for each in samples])
    bare = torch.stack(
        [
            torch.from_numpy(reader.read_counterfactual(path, 64, glasses=False).image)
            for path in wearing["path"]
        ]
    ).permute(0, 3, 1, 2)
    with torch.no_grad():
        change = (model(image / 255).softmax(1) - model(bare / 255).softmax(1))[:, 0]
    effect = facts["effects"]["glasses"]
    assert effect == {"effect": pytest.approx(float(change.mean()), abs=1e-5), "faces": 12}

    maps = attribute(model, image / 255, 0, method="hirescam", layer="backbone.relu2")
    means = intersection_over_region(maps, regions).nanmean(0)
    own = means[REGIONS.index("eye_g")]
    assert facts["ways"][0]["ranks"]["glasses"] == 1 + int((means > own).sum())
    assert facts["ways"][0]["ior"]["glasses"] == pytest.approx(float(own), abs=1e-5)


def test_all_fine_layers_are_explained_without_a_warning_each(tmp_path):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*averages gradients.*")
        explained(tmp_path, faces(test=24), max_samples=8, methods={"gradcam": {}})
    ways = json.loads((tmp_path / "explanations" / "planted.json").read_text())["ways"]
    assert [way["layer"] for way in ways] == [f"backbone.relu{n}" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"case": "age-glasses"}, "tells 33-53 and 54\\+ apart"),
        ({"case": "gender-hats"}, "there is no planted case"),
        ({"methods": {"lrp": None}}, "no attribution method is left"),
        ({"methods": {"gradcams": {}}}, "there is no attribution method"),
        ({"layers": ["backbone.rel1"]}, "no layer"),
        ({"methods": {"lrp": {"composit": 1}}}, "did you mean 'composite'"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_batch(tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        explained(tmp_path, faces(test=12), **options)
    assert not (tmp_path / "explanations").exists()
