from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from fer_lab.data.augment import Augment
from fer_lab.data.datamodule import AffectNetDataModule, SyntheticDataModule
from fer_lab.data.dataset import Batch
from fer_lab.data.pixels import packed
from fer_lab.errors import ConfigError, DataError
from tests.data.processes import Make, as_process, indices, ready, trainer
from tests.layouts.affectnet import Written, write_csv_release


class Probe(LightningModule):
    """Learns next to nothing and remembers the batches it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.seen: list[tuple[str, int, Batch]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append(("train", self.current_epoch, batch))
        logits = self.layer(batch["image"].mean(dim=(2, 3)))
        return nn.functional.cross_entropy(logits, batch["label"])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen.append(("val", self.current_epoch, batch))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen.append(("test", self.current_epoch, batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)

    def rows(self, stage: str, epoch: int) -> list[int]:
        found = [b["index"].tolist() for s, e, b in self.seen if (s, e) == (stage, epoch)]
        return [row for part in found for row in part]


def test_every_split_has_its_rows(flat: Make) -> None:
    data = ready(flat())
    splits = data.manifest["split"].to_numpy()
    for name, rows in (
        ("train", data.train_rows),
        ("val", data.val_rows),
        ("test", data.test_rows),
    ):
        assert rows.dtype == np.int64
        assert rows.tolist() == np.flatnonzero(splits == name).tolist()
    assert sorted(indices(data.train_dataloader())) == data.train_rows.tolist()
    assert indices(data.val_dataloader()) == data.val_rows.tolist()
    assert indices(data.test_dataloader()) == data.test_rows.tolist()
    assert indices(data.predict_dataloader()) == data.test_rows.tolist()
    assert data.groups == {"gender": ("female", "male")}
    assert data.sources_of == {"gender": "annotated"}
    assert data.has_regions
    assert data.dropped == {}
    assert (data.warnings, len(data.unreadable)) == ([], 0)
    assert len(data.fingerprint) == 16


def test_pixels_and_labels_belong_to_the_row_that_the_batch_names(flat: Make) -> None:
    def change(frame: pd.DataFrame) -> None:
        frame.loc[5:14, "label"] = "anger"

    data = ready(flat(change=change, split="female"))
    assert data.dropped == {"label anger not among the classes": 10}
    for batch in (*data.train_dataloader(), *data.val_dataloader()):
        rows = data.manifest.iloc[batch["index"].numpy()]
        numbers = rows["path"].str.removeprefix("flat#").astype(int)
        assert batch["image"][:, 0, 4, 4].tolist() == numbers.tolist()
        assert [data.classes[n] for n in batch["label"]] == rows["label"].tolist()
        assert [data.groups["gender"][n] for n in batch["group"]["gender"]] == list(rows["gender"])
        assert batch["monitored"].tolist() == (rows["gender"] == "female").tolist()


def test_batch_sizes_are_those_asked_for(flat: Make) -> None:
    data = ready(flat())
    assert [len(batch["index"]) for batch in data.train_dataloader()] == [16, 16, 16, 12]
    assert [len(batch["index"]) for batch in data.val_dataloader()] == [20]
    data = ready(flat(eval_batch_size=15))
    assert [len(batch["index"]) for batch in data.test_dataloader()] == [15, 5]


def test_a_last_training_batch_of_one_is_left_out(flat: Make) -> None:
    # 60 training rows: batch norm could not train on a last batch of one.
    data = ready(flat(batch_size=59))
    assert [len(batch["index"]) for batch in data.train_dataloader()] == [59]
    assert len(data.train_dataloader()) == 1
    data = ready(flat(batch_size=1))
    assert len(data.train_dataloader()) == 60


def test_workers_change_nothing(flat: Make) -> None:
    alone = list(ready(flat(num_workers=0)).train_dataloader())
    loader = ready(flat(num_workers=2)).train_dataloader()
    assert loader.persistent_workers
    assert len(alone) == 4
    for mine, theirs in zip(alone, loader, strict=True):
        assert mine.keys() == theirs.keys()
        assert torch.equal(mine["index"], theirs["index"])
        assert torch.equal(mine["image"], theirs["image"])
        assert torch.equal(mine["group"]["gender"], theirs["group"]["gender"])


def test_the_order_depends_on_the_seed(flat: Make) -> None:
    orders = [indices(ready(flat(seed=seed)).train_dataloader()) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_a_training_run_permutes_each_epoch_and_augments_in_training_only(flat: Make) -> None:
    strong = Augment(brightness=0.5)
    data = flat(augment=strong, seed=3, annotated_training=True)
    probe = Probe()
    trainer(max_epochs=2).fit(probe, datamodule=data)
    trainer().test(probe, datamodule=data, verbose=False)
    assert sorted(probe.rows("train", 0)) == sorted(probe.rows("train", 1)) == list(data.train_rows)
    assert probe.rows("train", 0) != probe.rows("train", 1)
    assert probe.rows("val", 0) == probe.rows("val", 1) == list(data.val_rows)
    dataset = data._dataset(annotated=False)
    for stage, epoch, batch in probe.seen:
        assert batch["image"].dtype == torch.float32
        assert "regions" in batch
        expected = dataset.__getitems__(batch["index"].tolist())["image"].float() / 255
        if stage == "train":
            assert not torch.allclose(batch["image"], expected, atol=0.05)
            untouched: Batch = batch.copy()
            untouched["image"] = expected
            expected = strong(untouched, seed=3, epoch=epoch)["image"]
        assert torch.allclose(batch["image"], expected, atol=1e-6)


def test_images_become_floats_once_and_stay_channels_last(flat: Make) -> None:
    data = ready(flat())
    batch = next(iter(data.val_dataloader()))
    moved = data.on_after_batch_transfer(batch, 0)
    assert batch["image"].dtype == torch.uint8
    assert torch.equal(moved["image"], batch["image"].double().div(255).float())
    assert moved["image"].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(data.on_after_batch_transfer(moved, 0)["image"], moved["image"])
    white = moved.copy()
    white["image"] = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert float(data.on_after_batch_transfer(white, 0)["image"].max()) == 1.0


def test_training_batches_carry_regions_where_they_are_asked_for(flat: Make) -> None:
    assert "regions" not in next(iter(ready(flat()).train_dataloader()))
    asked = ready(flat(annotated_training=True))
    assert "regions" in next(iter(asked.train_dataloader()))
    assert "landmarks" in next(iter(asked.val_dataloader()))


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_evaluation_rows_exactly_and_training_rows_evenly(
    flat: Make, world: int
) -> None:
    shares = [as_process(ready(flat(103)), rank, world) for rank in range(world)]
    test = [indices(data.test_dataloader()) for data in shares]
    assert sorted(row for share in test for row in share) == shares[0].test_rows.tolist()
    audit = [indices(data.audit_dataloader("val", 9)) for data in shares]
    rows = [row for share in audit for row in share]
    assert len(rows) == len(set(rows)) == 9
    train = [indices(data.train_dataloader()) for data in shares]
    assert len({len(share) for share in train}) == 1
    assert {row for share in train for row in share} == set(shares[0].train_rows.tolist())


def test_rows_are_not_shared_out_twice(flat: Make) -> None:
    data = as_process(ready(flat()), 0, 2, shared_out=True)
    with pytest.raises(ConfigError, match="second time") as caught:
        data.train_dataloader()
    assert "use_distributed_sampler=False" in str(caught.value)


def test_the_audited_subset_is_balanced_and_the_same_for_every_seed(flat: Make) -> None:
    data = ready(flat(400))
    rows = indices(data.audit_dataloader("val", 16))
    chosen = data.manifest.iloc[rows]
    assert set(chosen["split"]) == {"val"}
    assert chosen.groupby(["label", "gender"], observed=True).size().tolist() == [4, 4, 4, 4]
    assert indices(data.audit_dataloader("val", 16)) == rows
    assert indices(ready(flat(400, seed=9)).audit_dataloader("val", 16)) == rows
    assert indices(data.audit_dataloader("test", None)) == data.test_rows.tolist()


def test_caches_filled_by_another_process_are_opened(
    flat: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = flat()
    first.prepare_data()
    assert not hasattr(first, "manifest")

    def no_building(*_: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(packed, "_build", no_building)
    assert len(indices(ready(flat()).test_dataloader())) == 20
    other = flat(split="female")
    other.setup("fit")
    assert len(other.train_rows) < 60


def test_a_validation_set_is_drawn_where_there_is_none(flat: Make) -> None:
    def change(frame: pd.DataFrame) -> None:
        frame.loc[(frame["split"] == "val").to_numpy(), "split"] = "train"

    drawn = [
        ready(flat(change=change, split={"where": {"gender": g}, "val_fraction": 0.25}))
        for g in (None, ["female"])
    ]
    # 80 training rows in cells of 20 per label × gender.
    assert len(drawn[0].val_rows) == 20
    ids = [data.manifest["id"].iloc[data.val_rows].tolist() for data in drawn]
    assert ids[0] == ids[1]
    counts = drawn[0].manifest.iloc[drawn[0].val_rows].groupby(["label", "gender"], observed=True)
    assert counts.size().tolist() == [5, 5, 5, 5]


def test_what_validation_lacks_is_said_once(flat: Make, caplog: pytest.LogCaptureFixture) -> None:
    def change(frame: pd.DataFrame) -> None:
        frame.loc[(frame["split"] == "val").to_numpy(), "gender"] = "male"

    data = ready(flat(change=change))
    data.setup("test")
    assert len(data.warnings) == 1
    assert "gender female" in data.warnings[0]
    assert sum("gender female" in record.message for record in caplog.records) == 1


def test_a_split_without_rows_is_an_error_when_it_is_asked_for(flat: Make) -> None:
    def change(frame: pd.DataFrame) -> None:
        frame.loc[(frame["split"] == "test").to_numpy(), "split"] = "train"

    data = ready(flat(change=change, split={"test_fraction": 0}))
    assert len(data.test_rows) == 0
    with pytest.raises(DataError, match="no test rows") as caught:
        data.test_dataloader()
    assert "train 80" in str(caught.value)


def test_an_empty_split_is_an_error_before_anything_is_drawn(flat: Make, tmp_path: Path) -> None:
    def change(frame: pd.DataFrame) -> None:
        frame["gender"] = pd.Categorical(["male"] * len(frame), ["female", "male"])

    with pytest.raises(DataError, match="split=female leaves none of the 60 training rows"):
        flat(change=change, split="female").prepare_data()
    assert not (tmp_path / "cache" / "packed").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"image_size": -3}, "image_size=-3"),
        ({"split": "women"}, "no split 'women'"),
        ({"classes": 5}, "classes=5"),
        ({"augment": {"flipp": 1}}, "flipp"),
    ],
)
def test_impossible_options_are_errors_at_once(
    flat: Make, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        flat(**options)


def test_containers_of_omegaconf_are_accepted(flat: Make) -> None:
    given = OmegaConf.create(
        {
            "split": {"name": "female", "where": {"gender": ["female"], "age": None}, "seed": 1},
            "classes": ["happy", "sad"],
            "attributes": ["gender"],
            "augment": {"flip": 0.5},
        }
    )
    data = ready(flat(**{name: given[name] for name in given}))
    assert set(data.manifest["gender"].iloc[data.train_rows]) == {"female"}
    assert data.augment == Augment(flip=0.5)


def test_several_datasets_are_one(flat: Make) -> None:
    data = flat()
    data.sources = {"flat": {}, "other": {}}
    ready(data)
    assert data.manifest["dataset"].value_counts().to_dict() == {"flat": 100, "other": 100}
    batch = next(iter(data.audit_dataloader("test", 8, by=("dataset",))))
    rows = data.manifest.iloc[batch["index"].numpy()]
    assert set(rows["dataset"]) == {"flat", "other"}
    assert (
        batch["image"][:, 0, 0, 0].tolist()
        == rows["path"].str.split("#").str[1].astype(int).tolist()
    )


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_csv_release(tmp_path_factory.mktemp("affectnet") / "copy")


def affectnet(release: Written, cache: Path, **options: Any) -> AffectNetDataModule:
    return AffectNetDataModule(
        release.root,
        gender_labels=release.gender_labels,
        cache_dir=cache,
        image_size=32,
        batch_size=8,
        **options,
    )


def test_image_files_train_and_damaged_ones_are_listed(release: Written, tmp_path: Path) -> None:
    data = affectnet(release, tmp_path, split="female", classes=8, num_workers=2)
    probe = Probe()
    probe.layer = nn.Linear(3, 8)
    trainer(max_epochs=1, limit_train_batches=2).fit(probe, datamodule=data)
    assert set(data.manifest["gender"].iloc[data.train_rows]) == {"female"}
    assert data.groups == {"gender": ("female", "male")}
    assert sum("is not known" in warning for warning in data.warnings) == 2
    assert not data.has_regions
    found = dict(zip(data.unreadable["path"], data.unreadable["reason"], strict=True))
    expected = {
        str(release.root / "Manually_Annotated_Images" / path): reason
        for path, reason in release.unreadable.items()
    }
    assert found == expected
    for reason in expected.values():
        assert data.dropped[reason] == list(expected.values()).count(reason)
    assert not data.manifest["path"].isin(list(expected)).any()
    for _, _, batch in probe.seen:
        assert batch["image"].shape[1:] == (3, 32, 32)
        assert "landmarks" in batch or batch["monitored"].all()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_files_are_decoded_in_processes_and_memory_maps_are_not(
    release: Written, tmp_path: Path, flat: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_lab.data.loaders.processor_count", lambda: 16)
    assert ready(affectnet(release, tmp_path)).val_dataloader().num_workers == 8
    assert as_process(ready(affectnet(release, tmp_path)), 0, 4).val_dataloader().num_workers == 4
    assert ready(affectnet(release, tmp_path, num_workers=3)).val_dataloader().num_workers == 3
    assert flat().num_workers == "auto"
    assert ready(flat()).val_dataloader().num_workers == 0


def test_a_file_that_disappears_during_training_is_named(tmp_path: Path) -> None:
    release = write_csv_release(tmp_path / "copy", train=1, test=1, odd=False)
    data = ready(affectnet(release, tmp_path / "cache", num_workers=1))
    gone = Path(data.manifest["path"].iloc[data.test_rows[3]])
    gone.unlink()
    with pytest.raises(DataError) as caught:
        list(data.test_dataloader())
    assert str(gone) in str(caught.value)


def test_synthetic_faces_train_from_plain_python(tmp_path: Path) -> None:
    data = SyntheticDataModule(
        train=64, val=32, test=32, image_size=48, cache_dir=tmp_path, augment={"flip": 0.5}
    )
    probe = Probe()
    probe.layer = nn.Linear(3, 7)
    trainer(max_epochs=1).fit(probe, datamodule=data)
    assert (len(data.train_rows), len(data.val_rows), len(data.test_rows)) == (64, 32, 32)
    assert data.sources_of == dict.fromkeys(("gender", "age", "race"), "synthetic")
    batch = next(iter(data.val_dataloader()))
    assert batch["image"].shape == (32, 3, 48, 48)
    assert {"regions", "landmarks", "intensity"} <= batch.keys()
    # Landmark 30 is the tip of the nose: there, or one pixel beside, the mask says nose.
    nose = 0
    for points, regions in zip(batch["landmarks"], batch["regions"], strict=True):
        x, y = points[30].round().int().tolist()
        nose += int((regions[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] == 2).any())
    assert nose >= 30


def test_a_script_without_a_main_guard_can_draw_many_faces(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from fer_lab.data import SyntheticDataModule\n"
        f"data = SyntheticDataModule(train=230, val=10, test=10, image_size=48,"
        f" cache_dir={str(tmp_path)!r})\n"
        "data.prepare_data()\n"
        "data.setup()\n"
        "print(len(data.train_rows))\n"
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "230\n"
