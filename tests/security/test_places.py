"""Places that cannot be written to are an error before anything is read or trained."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_lab.cli import main
from fer_lab.data import FaceDataModule
from fer_lab.errors import ConfigError
from fer_lab.places import (
    refuse_unusable_cache,
    refuse_unwritable_file,
    refuse_unwritable_folder,
)
from tests.integration.runs import command, only_run, record

# Linux: a bounding set without these binds even root to permission bits in the programs it starts.
_DROP, _CAPABILITIES = 24, (1, 2)  # PR_CAPBSET_DROP; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
TINY = (
    *("dataset.train=60", "dataset.val=30", "dataset.test=30", "recipe.image_size=48"),
    *("trainer.max_epochs=1", "logger=none", "explain=none", "callbacks.fairness.resamples=20"),
)


def give_up_rights() -> None:
    """In a process about to start a program: let permission bits count, for root as for others."""
    if os.geteuid() == 0:
        for capability in _CAPABILITIES:
            ctypes.CDLL(None).prctl(_DROP, capability, 0, 0, 0)


def run(words: list[str], place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program for which permission bits count."""
    return subprocess.run(
        words,
        cwd=place,
        env={**os.environ, **environment},
        preexec_fn=give_up_rights,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def _bits_count(tmp_path_factory):
    """Skip where permission bits cannot be made to count."""
    place = tmp_path_factory.mktemp("bits")
    place.chmod(0o500)
    words = [sys.executable, "-c", "open('a', 'w')"]
    if sys.platform != "linux" or run(words, place).returncode == 0:
        pytest.skip("permission bits do not bind this user, and it may not give its rights up")


@pytest.fixture
def closed(tmp_path, _bits_count):
    """A folder that nothing can be written into."""
    place = tmp_path / "closed"
    place.mkdir()
    place.chmod(0o500)
    yield place
    place.chmod(0o700)


@pytest.fixture
def mounted(tmp_path):
    """A folder on a file system that is read-only."""
    place = tmp_path / "mounted"
    place.mkdir()
    mount = shutil.which("mount")
    words = [mount or "mount", "-t", "tmpfs", "-o", "ro,size=64k", "none", str(place)]
    if mount is None or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount, outside of closed containers")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def said_once(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """The program ended with one error, which says all of ``parts``."""
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1, done.stderr
    for word in ("Traceback", "Warning"):
        assert word not in done.stderr
    for part in (*parts, "where: ", "to do: "):
        assert part in done.stderr


def test_outputs_that_cannot_be_made_are_said_before_anything_is_imported(closed):
    python, *words = command(*TINY)
    done = run([python, "-X", "importtime", *words], closed)
    said_once(done, "Permission denied", "outputs", "hydra.run.dir=")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hydra" in imported
    assert "torch" not in imported
    assert list(closed.iterdir()) == []


def test_a_sweep_s_folder_that_cannot_be_made_is_said(closed):
    done = run(command("--multirun", "seed=1,2", *TINY), closed)
    said_once(done, "Permission denied", "multirun", "hydra.sweep.dir=")


def test_a_sweep_s_folder_that_is_there_and_closed_is_said(closed, tmp_path):
    words = ("--multirun", "seed=1,2", *TINY, f"hydra.sweep.dir={closed}")
    said_once(run(command(*words), tmp_path), "Permission denied", "hydra.sweep.dir=")
    assert list(closed.iterdir()) == []


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("train", TINY),
        ("evaluate", ("predictions=none.csv",)),
        ("audit", ()),
        ("predict", ("checkpoint=none.ckpt", "image=none.jpg")),
    ],
)
def test_a_folder_that_is_named_and_closed_is_said_first(task, words, closed, tmp_path):
    done = run(command(*words, f"hydra.run.dir={closed}", task=task), tmp_path)
    said_once(done, "Permission denied", str(closed), "hydra.run.dir=")
    assert list(closed.iterdir()) == []


OUTPUTS = {
    "predict": ("output={}/a/p.csv", "checkpoint=none.ckpt", "image=none.jpg"),
    "export": ("output={}/model.pt2", "checkpoint=none.ckpt"),
    "report": ("output={}/a.html",),
    "table": ("output={}/a",),
}


@pytest.mark.parametrize("task", OUTPUTS)
def test_an_output_that_cannot_be_written_is_said_before_its_inputs_are_looked_at(
    task, closed, tmp_path
):
    words = [word.format(closed) for word in OUTPUTS[task]]
    done = run(command(*words, task=task), tmp_path)
    said_once(done, "Permission denied", str(closed), "output=")


def test_a_journal_that_cannot_be_written_is_said_before_anybody_is_asked(closed, tmp_path):
    words = ("server.base_url=http://127.0.0.1:9/v1", "server.model=a", f"journal={closed}/j.jsonl")
    done = run(command(*words, task="ask"), tmp_path)
    said_once(done, "Permission denied", str(closed), "journal=")


def test_a_cache_that_cannot_be_made_is_said_before_data_are_read(closed, tmp_path):
    done = run(command(*TINY), tmp_path, FER_LAB_CACHE=f"{closed}/cache")
    said_once(done, "Permission denied", f"{closed}/cache", "FER_LAB_CACHE=")
    assert "fingerprint" not in record(only_run(tmp_path))


@pytest.mark.slow
@pytest.mark.usefixtures("_bits_count")
def test_a_closed_cache_with_all_that_is_needed_serves(tmp_path):
    cache = tmp_path / "cache"
    words = (*TINY, "trainer.max_epochs=1")
    assert run(command(*words), tmp_path, FER_LAB_CACHE=str(cache)).returncode == 0
    folders = [cache, *(path for path in cache.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    try:
        done = run(command(*words), tmp_path, FER_LAB_CACHE=str(cache))
        assert done.returncode == 0, done.stderr
        cold = run(command(*words, "dataset.seed=9"), tmp_path, FER_LAB_CACHE=str(cache))
        said_once(cold, "Permission denied", str(cache))
    finally:
        for folder in folders:
            folder.chmod(0o700)


@pytest.mark.parametrize("look", [refuse_unwritable_folder, refuse_unwritable_file])
def test_a_read_only_file_system_is_said_as_such(look, mounted):
    with pytest.raises(ConfigError, match="Read-only file system") as caught:
        look(mounted / "new" / "file", "output")
    assert "another" in str(caught.value.hint)


def test_a_read_only_file_system_is_said_on_the_command_line(
    mounted, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for words in (
        ["train", *TINY, f"hydra.run.dir={mounted}/a"],
        ["train", "--multirun", "seed=1,2", *TINY, f"hydra.sweep.dir={mounted}/b"],
        ["report", f"output={mounted}/r.html"],
    ):
        assert main(words) == 1
        assert "Read-only file system" in capsys.readouterr().err


LONG = "a" * 300
PLACES: dict[str, tuple[Callable[[Path], str], str]] = {
    "a file": (lambda place: str(place / "file"), "file stands where a folder"),
    "below a file": (lambda place: str(place / "file" / "x"), "file stands where a folder"),
    "a name too long": (lambda place: str(place / LONG), "shorter name"),
    "a link to itself": (lambda place: str(place / "loop" / "x"), "links lead in a circle"),
}


@pytest.mark.parametrize("what", PLACES)
@pytest.mark.parametrize("mode", ["run", "sweep"])
def test_a_folder_that_cannot_be_is_one_error(what, mode, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    place, hint = PLACES[what]
    several = ("--multirun", "seed=1,2") if mode == "sweep" else ()
    assert main(["train", *several, *TINY, f"hydra.{mode}.dir={place(tmp_path)}"]) == 1
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert hint in said
    assert f"hydra.{mode}.dir=" in said


@pytest.mark.parametrize("what", PLACES)
def test_an_output_that_cannot_be_is_one_error(what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    place, hint = PLACES[what]
    for task, name in (("predict", "p.csv"), ("export", "m.pt2"), ("report", "r.html")):
        words = OUTPUTS[task][1:]
        assert main([task, f"output={place(tmp_path)}/{name}", *words]) == 1
        said = capsys.readouterr().err
        assert said.count("error: ") == 1
        assert hint in said


def test_names_that_leave_no_room_for_the_unfinished_file_are_refused(tmp_path):
    refuse_unwritable_file(tmp_path / f"{'a' * 220}.csv", "output")
    with pytest.raises(ConfigError, match="too long"):
        refuse_unwritable_file(tmp_path / f"{'a' * 245}.csv", "output")


def test_looking_makes_nothing(tmp_path):
    refuse_unwritable_file(tmp_path / "a" / "b" / "c.csv", "output")
    refuse_unwritable_folder(tmp_path / "a" / "b", "output")
    refuse_unusable_cache(tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_cache_is_refused(tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(ConfigError, match="Not a directory") as caught:
        refuse_unusable_cache(tmp_path / "cache")
    assert "FER_LAB_CACHE" in str(caught.value.hint)


def test_a_dataset_s_name_leads_nowhere_but_into_the_cache(tmp_path):
    cache = tmp_path / "one" / "two" / "cache"
    module = FaceDataModule(
        {"../../../escaped": {"source": "synthetic", "train": 16, "val": 8, "test": 8}},
        image_size=48,
        cache_dir=cache,
    )
    module.prepare_data()
    assert list((cache / "packed").glob("_escaped-48-*"))
    assert not [path for path in tmp_path.rglob("*escaped*") if cache not in path.parents]
