"""What holds for every dataset's source, on a tiny copy of each of its layouts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
import pytest
from omegaconf import OmegaConf

import fer_lab.data
from fer_lab.configuration import config_directory, register_resolvers
from fer_lab.data.face_datamodule import FaceDataModule
from fer_lab.data.manifest import assets, fingerprint, validate
from fer_lab.data.pixels.verification import verify
from fer_lab.data.sources import SOURCES, read
from fer_lab.errors import DataError
from tests.layouts import (
    affectnet,
    celeba,
    ckplus,
    expw,
    fairface,
    fer2013,
    jaffe,
    kdef,
    rafdb,
    rfw,
    table,
)

OWN_TABLE = {
    "columns": table.COLUMNS,
    "labels": {**table.CODES, 9: None},
    "splits": {"learn": "train", "watch": "val", "exam": "test"},
}


class Layout(NamedTuple):
    """A form of a dataset: how to write a copy, and the keys of the rows that are kept."""

    source: str
    write: Callable[[Path], Any]
    kept: Callable[[Any], Iterable[str]]
    options: Mapping[str, Any] = MappingProxyType({})


LAYOUTS = {
    "affectnet-csv": Layout(
        "affectnet",
        lambda root: affectnet.write_csv_release(root, train=1, test=1),
        lambda copy: [*copy.images["train"], *copy.images["test"]],
    ),
    "affectnet-npy": Layout(
        "affectnet",
        affectnet.write_npy_release,
        lambda copy: [*copy.images["train"], *copy.images["test"]],
    ),
    "celeba": Layout("celeba", celeba.write_celeba, lambda copy: copy.values),
    "ckplus-sequences": Layout("ckplus", ckplus.write_sequences, lambda copy: copy.images),
    "ckplus-folders": Layout("ckplus", ckplus.write_folders, lambda copy: copy.images),
    "ckplus-csv": Layout("ckplus", ckplus.write_csv, lambda copy: copy.images),
    "expw": Layout("expw", lambda root: expw.write(root, photographs=14), lambda copy: copy.labels),
    "fairface": Layout("fairface", fairface.write_fairface, lambda copy: copy.rows),
    "fer2013-csv": Layout("fer2013", fer2013.write_csv_form, lambda copy: copy.labels),
    "fer2013-votes": Layout(
        "fer2013", fer2013.write_csv_form, lambda copy: copy.labels, {"labels": "ferplus"}
    ),
    "fer2013-folders": Layout("fer2013", fer2013.write_folders_form, lambda copy: copy.labels),
    "folder": Layout(
        "folder",
        table.write_folder,
        lambda copy: copy.images,
        {"labels": {"trübe": "sad", "blurred": None}},
    ),
    "jaffe": Layout("jaffe", jaffe.write_jaffe, lambda copy: copy.images),
    "kdef": Layout("kdef", lambda root: kdef.write_kdef(root, people=1), lambda copy: copy.images),
    "rafdb-list": Layout("rafdb", rafdb.write_list_form, lambda copy: copy.labels),
    "rafdb-folders": Layout("rafdb", rafdb.write_folders_form, lambda copy: copy.labels),
    "rfw": Layout("rfw", rfw.write_rfw, lambda copy: copy.images),
    "table": Layout("table", table.write_table, lambda copy: copy.images, OWN_TABLE),
}
BY_PERSON: dict[str, Callable[[Path], Any]] = {
    "ckplus-sequences": lambda root: ckplus.write_sequences(root, people=6, odd=False),
    "ckplus-folders": lambda root: ckplus.write_folders(root, people=6, odd=False),
    "jaffe": lambda root: jaffe.write_jaffe(root, people=10, each=1, odd=False),
    "kdef": lambda root: kdef.write_kdef(root, people=4, sessions="A", odd=False),
}
# Those whose copies are written elsewhere, and the one that reads no files.
ELSEWHERE = {"celebamask_hq", "shards", "synthetic"}
ON_DISK = sorted({*SOURCES} - {"synthetic"})
NAMED = sorted({layout.source for layout in LAYOUTS.values()})
WITH_LISTS = (
    "affectnet-csv",
    "celeba",
    "ckplus-sequences",
    "ckplus-csv",
    "expw",
    "fairface",
    "fer2013-csv",
    "fer2013-votes",
    "rafdb-list",
    "rafdb-folders",
    "rfw",
    "table",
)
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: content[:0],
    "its first line alone": lambda content: content.partition(b"\n")[0] + b"\n",
    "cut within the last line": lambda content: content.rstrip()[:-3],
    "cut within the first half": lambda content: content[: len(content) // 2],
    "another encoding": lambda content: content.decode("utf-8", "ignore").encode("utf-16"),
    "zeros": lambda content: content + b"\0" * 64,
}


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A copy of each layout, written when it is asked for."""
    written: dict[str, Any] = {}

    def copy(name: str) -> Any:
        if name not in written:
            written[name] = LAYOUTS[name].write(tmp_path_factory.mktemp(name) / "copy")
        return written[name]

    return copy


def read_layout(name: str, root: Path) -> pd.DataFrame:
    return read(LAYOUTS[name].source, root, **LAYOUTS[name].options)


def ids(source: str, keys: Iterable[str]) -> set[str]:
    return {f"{source}/{key.removeprefix(f'{source}/')}" for key in keys}


def lists(root: Path) -> list[Path]:
    found = (path for path in root.rglob("*") if path.suffix in (".csv", ".txt", ".lst"))
    return sorted(path for path in found if path.is_file() and "README" not in path.name)


def test_every_source_is_looked_at():
    assert {*NAMED, *ELSEWHERE} == set(SOURCES)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_row_is_kept_or_counted(name, copies):
    copy = copies(name)
    manifest = read_layout(name, copy.root)
    assert set(manifest["id"]) == ids(LAYOUTS[name].source, LAYOUTS[name].kept(copy))
    assert assets(manifest).dropped == copy.dropped
    pd.testing.assert_frame_equal(validate(manifest), manifest)


@pytest.mark.parametrize("name", LAYOUTS)
def test_unusable_images_are_found_by_verification(name, copies, tmp_path):
    copy = copies(name)
    manifest = read_layout(name, copy.root)
    good, unreadable = verify(manifest, tmp_path)
    assert set(unreadable["id"]) == ids(LAYOUTS[name].source, copy.unreadable)
    assert good.sum() == len(manifest) - len(copy.unreadable)
    if isinstance(copy.unreadable, dict):
        reasons = {key.rpartition("/")[2]: reason for key, reason in copy.unreadable.items()}
        found = zip(unreadable["id"], unreadable["reason"], strict=True)
        assert {key.rpartition("/")[2]: reason for key, reason in found} == reasons
    # What is no file has rows without pixels instead.
    assert copy.unreadable or "pixels are not 48 × 48 grey values" in copy.dropped


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_manifest_does_not_depend_on_where_the_folder_is(name, copies):
    root = copies(name).root
    before = read_layout(name, root)
    elsewhere = root.rename(root.with_name("elsewhere"))
    try:
        after = read_layout(name, elsewhere)
        # A table may name images by their whole path, which is then another one.
        assert name == "table" or fingerprint(after) == fingerprint(before)
    finally:
        elsewhere.rename(root)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("root", [None, "", "nowhere", "empty"])
def test_a_missing_folder_says_what_is_expected_there(name, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        read(name, root)
    message = str(caught.value)
    source = import_module(SOURCES[name])
    expected = source.EXPECTED
    words = [expected, "dataset.root=…"] if root != "empty" or name != "table" else ["dataset.file"]
    if root != "empty":
        words.append(f"{source.TITLE} not found")
    for word in [*words, str(tmp_path / root) if root else ""]:
        assert word in message


@pytest.mark.parametrize("name", BY_PERSON)
def test_drawn_sets_share_no_person(name, tmp_path):
    source = LAYOUTS[name].source
    root = BY_PERSON[name](tmp_path / "copy").root
    assert set(read(source, root)["split"]) == {"train"}
    data = FaceDataModule(
        {source: {"root": root}}, image_size=48, batch_size=8, num_workers=0, cache_dir=tmp_path
    )
    data.setup()
    people = [
        set(data.manifest["subject"].iloc[rows])
        for rows in (data.train_rows, data.val_rows, data.test_rows)
    ]
    assert all(people)
    assert sum(map(len, people)) == len(set.union(*people))
    assert next(iter(data.train_dataloader()))["image"].shape == (8, 3, 48, 48)


def test_a_mistyped_folder_is_answered_with_its_neighbour(tmp_path):
    (tmp_path / "KDEF").mkdir()
    with pytest.raises(DataError, match=rf"KDEF not found; did you mean {tmp_path}/KDEF\?"):
        read("kdef", tmp_path / "KDFE")


@pytest.mark.parametrize("name", WITH_LISTS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_list_is_read_as_far_as_it_goes_or_named(name, damage, copies):
    root = copies(name).root
    whole = set(read_layout(name, root)["id"])
    folders = {path.parent: path for path in lists(root)[::-1]}
    for path in {*list(folders.values())[-2:], *lists(root)[-2:]}:
        content = path.read_bytes()
        path.write_bytes(DAMAGES[damage](content))
        try:
            found = read_layout(name, root)
        except DataError as error:
            assert str(root) in str(error)  # noqa: PT017 (either is right)
        else:
            assert set(found["id"]) <= whole
        finally:
            path.write_bytes(content)


@pytest.mark.parametrize("name", WITH_LISTS)
def test_lists_from_another_system_say_the_same(name, copies):
    root = copies(name).root
    before = read_layout(name, root)
    contents = {path: path.read_bytes() for path in lists(root)}
    assert contents
    try:
        for path, content in contents.items():
            lines = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            path.write_bytes(b"\xef\xbb\xbf" + lines)
        pd.testing.assert_frame_equal(read_layout(name, root), before)
    finally:
        for path, content in contents.items():
            path.write_bytes(content)


@pytest.mark.parametrize("name", ON_DISK)
def test_a_source_describes_itself(name):
    described = import_module(SOURCES[name]).__doc__ or ""
    for word in ("Features:", "Classes:", "Splits:", "Citation"):
        assert word in described


@pytest.mark.parametrize("name", ON_DISK)
def test_a_source_has_a_configuration_with_all_its_options(name):
    register_resolvers()
    options = OmegaConf.load(config_directory() / "dataset" / f"{name}.yaml").sources[name]
    known = inspect.signature(import_module(SOURCES[name]).read).parameters
    assert set(options) == set(known)


@pytest.mark.parametrize("name", ON_DISK)
def test_a_source_has_a_datamodule_of_its_name(name, tmp_path):
    wanted = f"{name}datamodule".replace("_", "")
    (own,) = (each for each in fer_lab.data.__all__ if each.lower() == wanted)
    module = getattr(fer_lab.data, own)
    data = module(tmp_path)
    assert set(data.sources) == {name}
    assert data.sources[name]["root"] == tmp_path
