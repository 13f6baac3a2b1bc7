from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from fer_lab.data.dataset import FaceDataset, collated
from fer_lab.data.pixels.packed import pack
from tests.data.flat_faces import BareReader, flat_manifest


@pytest.fixture
def dataset(tmp_path: Path) -> FaceDataset:
    frame = flat_manifest(40)
    frame.loc[3, "gender"] = "unknown"
    return FaceDataset(
        frame,
        pack(frame, 16, tmp_path),
        classes=("happy", "sad"),
        attributes=("gender",),
        in_split=np.arange(40) % 4 == 0,
    )


def test_a_batch_holds_what_the_manifest_says(dataset: FaceDataset) -> None:
    batch = dataset.__getitems__([12, 3, 39])
    assert batch["image"].shape == (3, 3, 16, 16)
    assert batch["image"].dtype == torch.uint8
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    assert batch["image"][:, 0, 2, 2].tolist() == [12, 3, 39]
    assert batch["image"][:, 2, 2, 2].tolist() == [7, 7, 7]
    assert batch["label"].tolist() == [0, 0, 1]
    assert batch["group"]["gender"].tolist() == [1, -1, 1]
    assert batch["index"].tolist() == [12, 3, 39]
    assert batch["monitored"].tolist() == [True, False, False]
    assert batch["regions"].dtype == torch.uint8
    assert batch["regions"][:, 9, 9].tolist() == [12, 3, 1]
    assert batch["landmarks"].shape == (3, 68, 2)
    assert torch.allclose(batch["intensity"], torch.tensor([12, 3, 39]) / 40)
    assert "weight" not in batch


def test_labels_follow_the_order_of_the_classes(tmp_path: Path) -> None:
    frame = flat_manifest(10)
    names = ("sad", "anger", "happy")
    dataset = FaceDataset(
        frame, pack(frame, 8, tmp_path), classes=names, attributes=(), in_split=np.ones(10, bool)
    )
    assert [names[i] for i in dataset.__getitems__(range(10))["label"]] == frame["label"].tolist()


def test_one_sample_is_a_batch_without_its_first_dimension(dataset: FaceDataset) -> None:
    sample = dataset[5]
    batch = dataset.__getitems__([5])
    assert sample["image"].shape == (3, 16, 16)
    assert sample["group"]["gender"].shape == ()
    assert sample.keys() == batch.keys()
    assert torch.equal(sample["landmarks"], batch["landmarks"][0])
    assert len(dataset) == 40


def test_a_loader_passes_whole_batches_on(dataset: FaceDataset) -> None:
    loader = DataLoader(dataset, batch_size=16, collate_fn=collated)
    batches = list(loader)
    assert [len(batch["index"]) for batch in batches] == [16, 16, 8]
    assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(40))


def test_annotations_are_left_out_where_they_are_not_wanted_or_not_known(tmp_path: Path) -> None:
    for reader, annotated in ((None, False), (BareReader(), True)):
        frame = flat_manifest(5, reader=reader)
        dataset = FaceDataset(
            frame,
            pack(frame, 8, tmp_path),
            classes=("happy", "sad"),
            attributes=(),
            in_split=np.ones(5, bool),
            annotated=annotated,
        )
        assert not {"regions", "landmarks"} & dataset.__getitems__([0, 1]).keys()


def test_weights_of_the_manifest_are_in_the_batch(tmp_path: Path) -> None:
    frame = flat_manifest(5)
    frame["weight"] = [1.0, 2.0, 3.0, 4.0, 5.0]
    dataset = FaceDataset(
        frame,
        pack(frame, 8, tmp_path),
        classes=("happy", "sad"),
        attributes=(),
        in_split=np.ones(5, bool),
    )
    assert dataset.__getitems__([4, 1])["weight"].tolist() == [5.0, 2.0]
    assert dataset.__getitems__([4, 1])["weight"].dtype == torch.float32
