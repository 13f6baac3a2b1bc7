"""A program in a file is an error in a sentence, whatever kind of file it is in, and never run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer_lab.cli import main
from fer_lab.data import read
from fer_lab.data.manifest_cache import _open as open_manifest
from fer_lab.data.pixels.packed import PackedImages
from fer_lab.data.predictions import read_prediction_file
from fer_lab.errors import FerLabError
from fer_lab.explain.merged_files import read_merged
from fer_lab.explain.supplied_files import _maps_in as maps_in
from fer_lab.faces.parsing import load_parser
from fer_lab.files import file_digest
from fer_lab.models import BaselineCNN
from fer_lab.models.checkpoints import check_resumable, load_checkpoint
from fer_lab.models.clip_weights import load_towers
from fer_lab.models.weights import load_file
from fer_lab.report.run import Run
from fer_lab.report.run_tables.choices import Choices
from fer_lab.trust import refuse_foreign_settings
from tests.security import programs

Write = Callable[[Path, Path], None]


def packed(folder: Path) -> PackedImages:
    (folder / "content.json").write_text(json.dumps({"arrays": ["images"]}))
    return PackedImages(folder)


def patches(folder: Path) -> Any:
    (folder / "explanations").mkdir()
    (folder / "patches.npz").rename(folder / "explanations" / "patches.npz")
    return Run(folder).patches


def weights(path: Path) -> None:
    model = BaselineCNN(num_classes=7, image_size=48)
    load_file(model.backbone, str(path), head="head")


def resumed(path: Path) -> None:
    check_resumable(path, BaselineCNN(num_classes=7, image_size=48))


def configuration(folder: Path) -> Any:
    (folder / ".hydra").mkdir()
    (folder / "config.yaml").rename(folder / ".hydra" / "config.yaml")
    return Run(folder).config


def choices(folder: Path) -> Any:
    (folder / "run.json").write_text("{}")
    (folder / ".hydra").mkdir()
    (folder / "config.yaml").rename(folder / ".hydra" / "config.yaml")
    return Choices.of(Run(folder))


# What is read, the name of its file, and who reads the file, or (with a name for it) its folder.
OF_A_FILE: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "checkpoint": ("best.ckpt", load_checkpoint),
    "checkpoint to go on from": ("last.ckpt", resumed),
    "weights": ("weights.pt", weights),
    "weights of CLIP": ("clip.bin", partial(load_towers, None)),
    "weights of a parser": (
        "parsing_parsenet.pth",
        lambda path: load_parser("parsenet", path.parent),
    ),
}
OF_ARRAYS: dict[str, tuple[str, Write, Callable[[Path], Any]]] = {
    "a heatmap": ("happy.npy", programs.object_array, lambda path: list(maps_in(path))),
    "heatmaps": (
        "maps.npz",
        lambda path, mark: programs.object_arrays(path, mark, "happy"),
        lambda path: list(maps_in(path)),
    ),
    "merged heatmaps": (
        "merged_test.npz",
        lambda path, mark: programs.object_arrays(path, mark, "mean", "count", "cells"),
        read_merged,
    ),
    "patches": (
        "patches.npz",
        lambda path, mark: programs.object_arrays(path, mark, "nose/image", "nose/score"),
        lambda path: patches(path.parent),
    ),
    "packed images": ("images.npy", programs.object_array, lambda path: packed(path.parent)),
}
OF_TABLES: dict[str, tuple[str, Write, Callable[[Path], Any]]] = {
    "predictions as Parquet": ("p.parquet", programs.parquet, read_prediction_file),
    "a pickle called Parquet": ("p.parquet", programs.pickled, read_prediction_file),
    "a pickle called CSV": ("p.csv", programs.pickled, read_prediction_file),
    "a run's configuration": (
        "config.yaml",
        programs.yaml_file,
        lambda path: configuration(path.parent),
    ),
    "a run's choices": ("config.yaml", programs.yaml_file, lambda path: choices(path.parent)),
    "a configuration to go on with": (
        "config.yaml",
        programs.yaml_file,
        refuse_foreign_settings,
    ),
}


def check(write: Write, name: str, reader: Callable[[Path], Any], folder: Path) -> None:
    """Reading raises one error in words, and the program has not run."""
    path, mark = folder / name, folder / "executed"
    write(path, mark)
    with pytest.raises(FerLabError) as caught:
        reader(path)
    assert not mark.exists()
    assert "Traceback" not in str(caught.value)
    assert "weights_only=False" not in str(caught.value)  # the libraries' own advice is to run it
    assert "allow_pickle=True" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", [programs.pickled, programs.torch_file, programs.old_torch_file])
@pytest.mark.parametrize("what", OF_A_FILE)
def test_a_program_in_a_file_of_weights_is_not_run(what, form, tmp_path):
    name, reader = OF_A_FILE[what]
    check(form, name, reader, tmp_path)


@pytest.mark.parametrize("what", OF_ARRAYS)
def test_a_program_in_arrays_is_not_run(what, tmp_path):
    name, write, reader = OF_ARRAYS[what]
    check(write, name, reader, tmp_path)


@pytest.mark.parametrize("what", OF_TABLES)
def test_a_program_in_a_table_or_configuration_is_not_run(what, tmp_path):
    name, write, reader = OF_TABLES[what]
    check(write, name, reader, tmp_path)


def test_a_program_in_a_remembered_manifest_is_not_run_and_the_data_are_read_again(tmp_path):
    mark = tmp_path / "executed"
    content = {"rows": 0, "arrays": ["landmarks"], "dropped": {}, "roots": {}}
    (tmp_path / "content.json").write_text(json.dumps(content))
    for name in ("table", "unmatched"):
        pd.DataFrame().to_parquet(tmp_path / f"{name}.parquet")
    np.save(tmp_path / "landmarks.npy", np.zeros((0, 68, 2), dtype=np.float32))
    assert open_manifest(tmp_path) is not None
    programs.object_array(tmp_path / "landmarks.npy", mark)
    assert open_manifest(tmp_path) is None
    programs.parquet(tmp_path / "table.parquet", mark)
    assert open_manifest(tmp_path) is None
    assert not mark.exists()


def test_what_the_programs_do_they_do_when_they_are_unpickled(tmp_path):
    mark = tmp_path / "executed"
    pickle.loads(pickle.dumps(programs.Program(mark)))
    assert mark.exists()


def test_a_table_in_parquet_is_not_run(tmp_path):
    mark = tmp_path / "executed"
    programs.parquet(tmp_path / "faces.parquet", mark)
    with pytest.raises(FerLabError):
        read("table", tmp_path, file="faces.parquet", columns={"path": "id"})
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("landmarks.npy", programs.object_array),
        ("manifest.parquet", programs.parquet),
        ("manifest.parquet", programs.pickled),
    ],
)
def test_a_program_beside_shards_is_not_run_even_where_the_index_names_it(
    name, write, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    faces = ("dataset.train=4", "dataset.val=2", "dataset.test=2", "image_size=48")
    assert main(["shards", *faces, "output=shards"]) == 0
    place = tmp_path / "shards"
    assert len(read("shards", place)) == 8
    mark = tmp_path / "executed"
    write(place / name, mark)
    index = json.loads((place / "shards.json").read_text())
    for entry in (index["table"], *index["arrays"].values()):
        if entry["name"] == name:
            entry |= {"size": (place / name).stat().st_size, "sha256": file_digest(place / name)}
    (place / "shards.json").write_text(json.dumps(index))
    with pytest.raises(FerLabError, match="cannot be read"):
        read("shards", place)
    assert not mark.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "predictions={folder}/p.parquet"),
        ("evaluate", "checkpoint={folder}/best.ckpt"),
        ("predict", "checkpoint={folder}/best.ckpt", "image={folder}"),
        ("export", "checkpoint={folder}/best.ckpt"),
        ("compare", "{folder}/p.parquet", "{folder}/p.parquet"),
    ],
)
def test_on_the_command_line_it_is_one_error_without_a_traceback(
    words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "executed"
    programs.torch_file(tmp_path / "best.ckpt", mark)
    programs.pickled(tmp_path / "p.parquet", mark)
    assert main([word.format(folder=tmp_path) for word in words]) == 1
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert "Traceback" not in said
    assert not mark.exists()
