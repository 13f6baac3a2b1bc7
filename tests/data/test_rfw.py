from __future__ import annotations

import pytest
from pytorch_lightning import Trainer

from fer_lab.data import FaceDataModule, RFWDataModule
from fer_lab.data.manifest import assets
from fer_lab.data.sources import read
from fer_lab.errors import DataError
from fer_lab.models import BaselineCNN
from tests.layouts.fairface import write_fairface
from tests.layouts.rfw import RACES, write_rfw


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return write_rfw(tmp_path_factory.mktemp("rfw") / "a")


def test_every_image_is_kept_and_what_lists_promise_is_counted(copy):
    manifest = read("rfw", copy.root)
    assert set(manifest["id"]) == {f"rfw/{image}" for image in copy.images}
    assert assets(manifest).dropped == copy.dropped
    assert set(manifest["split"]) == {"test"}
    assert set(manifest["label"]) == {"unknown"}


@pytest.mark.parametrize("folder", RACES)
def test_every_folder_has_its_race(folder, copy):
    manifest = read("rfw", copy.root)
    inside = manifest["id"].str.startswith(f"rfw/{folder}/")
    assert inside.sum() == sum(image.startswith(folder) for image in copy.images)
    assert set(manifest["race"][inside]) == {folder.lower()}
    assert folder.lower() not in set(manifest["race"][~inside])
    assert set(manifest["race_source"]) == {"annotated"}


def test_identities_are_subjects(copy):
    manifest = read("rfw", copy.root)
    of_folder = manifest["id"].str.split("/").str[2]
    assert (manifest["subject"] == of_folder).all()
    assert manifest["subject"].nunique() == 8


def test_root_may_be_the_folder_test_and_lists_may_be_missing(copy, tmp_path):
    assert list(read("rfw", copy.root / "test")["id"]) == list(read("rfw", copy.root)["id"])
    other = write_rfw(tmp_path / "b")
    for path in other.root.glob("test/txts/*/*.txt"):
        path.unlink()
    assert assets(read("rfw", other.root)).dropped == {}


def test_all_of_it_is_tested_on(copy, tmp_path):
    data = RFWDataModule(copy.root, image_size=16, cache_dir=tmp_path)
    data.setup()
    assert data.classes == ("african", "asian", "caucasian", "indian")
    assert len(data.test_rows) == len(copy.images) - len(copy.unreadable)
    assert len(data.train_rows) == len(data.val_rows) == 0
    with pytest.raises(DataError) as caught:
        data.train_dataloader()
    for words in ("no train rows", "test 16", "dataset=[NAME,rfw]", "fer-lab evaluate"):
        assert words in str(caught.value)


@pytest.mark.parametrize("leave_out", [None, "rfw"])
def test_a_model_that_learns_races_from_fairface_is_tested_on_it(leave_out, copy, tmp_path):
    fairface = write_fairface(tmp_path / "fairface")
    table = {
        "white": "caucasian",
        "black": "african",
        "east_asian": "asian",
        "southeast_asian": "asian",
        "indian": "indian",
    }
    data = FaceDataModule(
        {"fairface": {"root": fairface.root}, "rfw": {"root": copy.root}},
        target="race",
        harmonise={"race": {"fairface": table}},
        split={"leave_out": leave_out},
        attributes=["gender", "dataset"],
        image_size=32,
        batch_size=8,
        num_workers=0,
        cache_dir=tmp_path,
    )
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = BaselineCNN(num_classes=4, image_size=32)
    trainer.fit(model, data)
    assert set(data.classes) == {"african", "asian", "caucasian", "indian"}
    assert set(data.manifest["dataset"].iloc[data.train_rows]) == {"fairface"}
    (tested,) = trainer.test(model, data, verbose=False)
    assert 0 <= tested["test/accuracy"] <= 1
    counts = data.manifest["dataset"].iloc[data.test_rows].value_counts()
    # Of the 21 images of FairFace's test set six are of a race that RFW has not.
    assert counts["rfw"] == len(copy.images) - len(copy.unreadable)
    assert counts["fairface"] == (0 if leave_out else 15)


def test_a_missing_group_is_named(tmp_path):
    for race in RACES[:3]:
        (tmp_path / "test/data" / race).mkdir(parents=True)
    with pytest.raises(DataError, match="layout: data/Indian not found"):
        read("rfw", tmp_path)
    (tmp_path / "test/data/Indian").mkdir()
    with pytest.raises(DataError, match="there is no image of RFW"):
        read("rfw", tmp_path)


def test_a_line_without_landmarks_is_counted_and_its_image_kept(tmp_path, caplog):
    root = write_rfw(tmp_path / "a", odd=False).root
    path = root / "test/txts/Indian/Indian_lmk.txt"
    path.write_text(path.read_text() + "Indian/m.1/m.1_0001.jpg 0 1.0\n")
    manifest = read("rfw", root)
    assert len(manifest) == 16
    assert assets(manifest).dropped == {"malformed row": 1}
    assert "Indian_lmk.txt, line 5" in caplog.text
