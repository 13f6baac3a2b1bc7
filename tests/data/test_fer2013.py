from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_lab.data.manifest import assets, fingerprint
from fer_lab.data.pixels.packed import pack
from fer_lab.data.sources import fer2013, read
from fer_lab.data.vocabulary import EXPRESSIONS as VOCABULARY
from fer_lab.errors import ConfigError, DataError
from tests.layouts.fer2013 import (
    EXPRESSIONS,
    FOLDERS,
    USAGES,
    VOTES,
    cell,
    write_csv_form,
    write_folders_form,
    write_votes,
)


@pytest.fixture(scope="module")
def csv_copy(tmp_path_factory):
    return write_csv_form(tmp_path_factory.mktemp("fer2013") / "csv")


@pytest.fixture(scope="module")
def folders_copy(tmp_path_factory):
    return write_folders_form(tmp_path_factory.mktemp("fer2013") / "folders")


def small_copy(root: Path, *rows: tuple[object, object]) -> Path:
    """A CSV form of black faces with these codes and usages."""
    black = cell(np.zeros((48, 48), np.uint8))
    lines = [f"{code},{black},{usage}" for code, usage in rows]
    (root / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    return root


def votes(**counts: int) -> tuple[object, ...]:
    """A row of FER+'s file."""
    return ("Training", "fer.png", *(counts.get(name, 0) for name in VOTES))


@pytest.mark.parametrize("form", ["csv", "folders"])
def test_every_row_is_kept_or_counted(form, csv_copy, folders_copy):
    copy = csv_copy if form == "csv" else folders_copy
    manifest = read("fer2013", copy.root).set_index("id")
    assert manifest["label"].to_dict() == copy.labels
    assert manifest["split"].astype("str").to_dict() == copy.splits
    assert assets(manifest).dropped == copy.dropped


@pytest.mark.parametrize(("code", "name"), enumerate(EXPRESSIONS))
def test_every_code_has_its_expression(code, name, csv_copy):
    """Row n of the first 28 has the code n % 7."""
    manifest = read("fer2013", csv_copy.root).set_index("id")
    assert fer2013.EXPRESSION_CODES[code] == name
    ids = [f"fer2013/{row}" for row in range(code, 28, 7)]
    assert set(manifest.loc[ids, "label"]) == {name}


@pytest.mark.parametrize(("folder", "name"), FOLDERS.items())
def test_every_folder_has_its_expression(folder, name, folders_copy):
    manifest = read("fer2013", folders_copy.root)
    inside = manifest["path"].str.contains(f"/{folder}/", regex=False)
    assert set(manifest["label"][inside]) == {name}
    assert set(manifest["split"][inside]) == {"train", "test"}


def test_usages_are_splits():
    assert fer2013.USAGES == USAGES


def test_the_pixels_of_every_row_are_those_of_the_file(csv_copy):
    manifest = read("fer2013", csv_copy.root)
    reader = assets(manifest).readers["fer2013"]
    for path in manifest["path"]:
        name, _, row = path.partition("#")
        assert name == "fer2013.csv"
        image = reader.read(path, 48).image
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, csv_copy.pixels[int(row)][..., None].repeat(3, 2))
    assert reader.read("fer2013.csv#0", 96).image.shape == (96, 96, 3)


def test_rows_are_packed_by_the_shared_cache(csv_copy, tmp_path):
    manifest = read("fer2013", csv_copy.root)
    packed = pack(manifest, 48, tmp_path)
    rows = manifest["path"].str.partition("#")[2].astype(int).to_numpy()
    images = packed.read(np.arange(len(manifest))).image
    np.testing.assert_array_equal(images, csv_copy.pixels[rows][..., None].repeat(3, 3))


def test_the_reader_crosses_to_a_process_without_torch(csv_copy):
    reader = assets(read("fer2013", csv_copy.root)).readers["fer2013"]
    program = (
        "import pickle, sys; reader = pickle.load(sys.stdin.buffer);"
        "print(reader.read('fer2013.csv#3', 48).image.sum(), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(reader), capture_output=True
    )
    assert done.stdout.decode().split() == [str(3 * csv_copy.pixels[3].sum()), "False"]
    assert len(pickle.dumps(reader)) < 1000


def test_a_second_reading_opens_the_cache_and_a_changed_file_is_read_anew(tmp_path, monkeypatch):
    from fer_lab.data.sources import pixel_csv

    copy = write_csv_form(tmp_path, train=1, test=1, odd=False)
    cache = tmp_path / "cache"
    first = read("fer2013", copy.root, cache_dir=cache)
    with monkeypatch.context() as patch:
        patch.setattr(pixel_csv, "grey_values", None)
        again = read("fer2013", copy.root, cache_dir=cache)
    assert fingerprint(again) == fingerprint(first)
    small_copy(tmp_path, (3, "Training"))
    assert read("fer2013", copy.root, cache_dir=cache)["label"].tolist() == ["happy"]


def test_columns_may_have_another_order_and_spaces(tmp_path):
    black = cell(np.zeros((48, 48), np.uint8))
    (tmp_path / "fer2013").mkdir()
    (tmp_path / "fer2013/fer2013.csv").write_text(
        f"emotion, Usage, pixels\n4,PrivateTest,{black}\n"
    )
    manifest = read("fer2013", tmp_path)
    assert (manifest["label"].tolist(), manifest["split"].tolist()) == (["sad"], ["test"])


def test_another_layout_names_what_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"layout: fer2013.csv, train/ and test/ not found"):
        read("fer2013", tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"layout: fer2013.csv and test/ not found"):
        read("fer2013", tmp_path)
    (tmp_path / "test").mkdir()
    with pytest.raises(DataError, match="there is no image of FER2013"):
        read("fer2013", tmp_path)
    (tmp_path / "test/joyful").mkdir()
    (tmp_path / "test/joyful/a.png").touch()
    with pytest.raises(DataError, match=r"'joyful' is no code(.|\n)*test/joyful"):
        read("fer2013", tmp_path)


def test_a_missing_column_names_the_file_and_its_columns(tmp_path):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels\n")
    with pytest.raises(DataError, match=r"no column Usage(.|\n)*which has emotion, pixels"):
        read("fer2013", tmp_path)


@pytest.mark.parametrize("code", ["7", "-1", "1.5", "happy"])
def test_an_unknown_code_names_file_line_value_and_the_known(tmp_path, code):
    root = small_copy(tmp_path, (0, "Training"), (code, "Training"))
    with pytest.raises(DataError) as caught:
        read("fer2013", root)
    for words in (repr(code), "fer2013.csv, line 3", "0 anger", "6 neutral"):
        assert words in str(caught.value)


@pytest.mark.parametrize("row", [("", "Training"), (3, "")])
def test_a_row_without_a_code_or_usage_is_set_aside(tmp_path, row):
    manifest = read("fer2013", small_copy(tmp_path, row, (0, "Training")))
    assert list(manifest["id"]) == ["fer2013/1"]
    assert assets(manifest).dropped == {"malformed row": 1}


def test_an_unknown_usage_names_file_and_line(tmp_path):
    root = small_copy(tmp_path, (0, "Training"), (0, "Validation"))
    with pytest.raises(DataError, match=r"'Validation'(.|\n)*line 3(.|\n)*PublicTest val"):
        read("fer2013", root)


def test_no_face_at_all_is_an_error_with_the_count(tmp_path):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(DataError, match="there is no image of FER2013"):
        read("fer2013", tmp_path)
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n3,1 2 3,Training\n")
    with pytest.raises(DataError, match="48 × 48 grey values: 1"):
        read("fer2013", tmp_path)


def test_ferplus_labels_the_same_rows(csv_copy):
    own = read("fer2013", csv_copy.root)
    voted = read("fer2013", csv_copy.root, labels="ferplus")
    assert voted["label"].tolist() == own["label"].tolist()
    assert voted["path"].tolist() == own["path"].tolist()
    assert assets(voted).dropped == csv_copy.dropped
    soft = assets(voted).arrays["soft_label"][voted["soft_label"]]
    assert soft.dtype == np.float32
    expected = np.eye(8)[[VOCABULARY.index(label) for label in voted["label"]]]
    np.testing.assert_array_equal(soft, expected)


@pytest.mark.parametrize(
    ("counts", "label", "shares"),
    [
        ({"neutral": 10}, "neutral", {"neutral": 1}),
        ({"happiness": 6, "surprise": 4}, "happy", {"happy": 0.6, "surprise": 0.4}),
        ({"surprise": 6, "fear": 4}, "surprise", {"surprise": 0.6, "fear": 0.4}),
        ({"sadness": 6, "neutral": 4}, "sad", {"sad": 0.6, "neutral": 0.4}),
        ({"anger": 6, "disgust": 4}, "anger", {"anger": 0.6, "disgust": 0.4}),
        ({"disgust": 6, "anger": 4}, "disgust", {"disgust": 0.6, "anger": 0.4}),
        ({"fear": 6, "surprise": 4}, "fear", {"fear": 0.6, "surprise": 0.4}),
        ({"contempt": 6, "anger": 4}, "contempt", {"contempt": 0.6, "anger": 0.4}),
        # Five of ten are no majority, but the single vote is ignored: five of nine are.
        ({"fear": 5, "sadness": 4, "NF": 1}, "fear", {"fear": 5 / 9, "sad": 4 / 9}),
        ({"fear": 5, "sadness": 5}, None, "votes without a majority"),
        ({"fear": 5, "sadness": 3, "unknown": 2}, None, "votes without a majority"),
        (dict.fromkeys(VOTES, 1), None, "votes without a majority"),
        ({"unknown": 6, "sadness": 4}, None, "votes for unknown"),
        ({"NF": 10}, None, "votes for not a face"),
    ],
)
def test_the_label_is_what_more_than_half_of_the_voters_say(tmp_path, counts, label, shares):
    root = small_copy(tmp_path, (0, "Training"), (0, "Training"))
    write_votes(tmp_path / "fer2013new.csv", [votes(happiness=10), votes(**counts)])
    manifest = read("fer2013", root, labels="ferplus")
    if label is None:
        assert manifest["id"].tolist() == ["fer2013/0"]
        assert assets(manifest).dropped == {shares: 1}
        return
    assert manifest["label"].tolist() == ["happy", label]
    soft = assets(manifest).arrays["soft_label"][manifest["soft_label"][1]]
    expected = [shares.get(name, 0) for name in VOCABULARY]
    np.testing.assert_allclose(soft, expected, rtol=1e-6)


def test_the_majority_is_that_of_a_slow_count():
    rng = np.random.default_rng(0)
    table = rng.multinomial(10, rng.dirichlet(np.full(10, 0.5), 500)[0], 500).astype(float)
    labels, shares = fer2013.majority(table)
    for row, label, share in zip(table, labels, shares, strict=True):
        counted = [count if count > 1 else 0 for count in row]
        best = max(range(10), key=lambda place: counted[place])
        assert label == (best if counted[best] > sum(counted) / 2 else -1)
        assert np.isclose(share.sum(), 1 if sum(counted[:8]) else 0)


def test_votes_of_other_rows_are_refused(tmp_path):
    root = small_copy(tmp_path, (0, "Training"), (0, "PublicTest"))
    with pytest.raises(DataError, match=r"FER\+ not found(.|\n)*fer2013.votes="):
        read("fer2013", root, labels="ferplus")
    file = tmp_path / "elsewhere.csv"
    write_votes(file, [votes(fear=9)])
    with pytest.raises(DataError, match=r"1 rows, fer2013.csv has 2"):
        read("fer2013", root, labels="ferplus", votes=file)
    write_votes(file, [votes(fear=9), votes(fear=9)])
    with pytest.raises(DataError, match=r"'Training' here and 'PublicTest'(.|\n)*csv, line 3"):
        read("fer2013", root, labels="ferplus", votes=file)


@pytest.mark.parametrize("count", ["many", "-1", ""])
def test_what_is_no_number_of_votes_names_line_and_column(tmp_path, count):
    root = small_copy(tmp_path, (0, "Training"))
    write_votes(tmp_path / "fer2013new.csv", [votes(fear=count)])
    with pytest.raises(DataError, match=r"is no number of votes(.|\n)*line 2, column fear"):
        read("fer2013", root, labels="ferplus")


def test_labels_are_chosen_by_name(csv_copy, folders_copy):
    with pytest.raises(ConfigError, match="no labels 'mine'"):
        read("fer2013", csv_copy.root, labels="mine")
    with pytest.raises(ConfigError, match=r"FER\+ labels the rows of fer2013.csv"):
        read("fer2013", folders_copy.root, labels="ferplus")


@pytest.mark.parametrize("form", ["csv", "folders"])
def test_the_named_datamodule_reads_the_dataset(form, csv_copy, folders_copy, tmp_path):
    from fer_lab.data import FER2013DataModule

    copy = csv_copy if form == "csv" else folders_copy
    data = FER2013DataModule(copy.root, cache_dir=tmp_path, num_workers=0)
    data.setup()
    assert len(data.manifest) == len(copy.labels) - len(copy.unreadable)
    assert len(data.val_rows) > 0
    batch = next(iter(data.test_dataloader()))
    assert batch["image"].shape == (14, 3, 48, 48)
    assert [data.classes[label] for label in batch["label"]] == data.manifest["label"][
        batch["index"].numpy()
    ].tolist()
