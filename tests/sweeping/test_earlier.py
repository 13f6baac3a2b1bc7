"""What is done with a job's folder that is there already."""

from __future__ import annotations

import json
import os
import socket

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate

from fer_lab.configuration import config_directory, register_resolvers
from fer_lab.errors import ConfigError
from fer_lab.sweeping.earlier import Todo, configuration_digest, put_aside, what_is_left

TINY = ("dataset.train=20", "dataset.val=10", "dataset.test=10", "recipe.image_size=48")


def composed(*words: str):
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("train", [*TINY, "name=x", "callbacks=none", *words])


@pytest.fixture(scope="module")
def cfg():
    return composed()


@pytest.fixture(scope="module")
def fingerprint(cfg):
    datamodule = instantiate(cfg.data, _convert_="all")
    datamodule.setup("fit")
    return datamodule.fingerprint


@pytest.fixture
def left(tmp_path, cfg, fingerprint):
    """Writes what an earlier try left of a job."""

    def write(status: str, *, last: bool = True, **facts):
        folder = tmp_path / "0"
        (folder / "checkpoints").mkdir(parents=True)
        if last:
            (folder / "checkpoints" / "last.ckpt").touch()
        record = {
            "status": status,
            "fingerprint": fingerprint,
            "sweep": {"configuration": configuration_digest(cfg)},
            **facts,
        }
        (folder / "run.json").write_text(json.dumps(record))
        return folder

    return write


def test_the_digest_knows_every_option_but_resume(cfg):
    digest = configuration_digest(cfg)
    assert configuration_digest(composed("resume=somewhere")) == digest
    assert configuration_digest(composed("model.optimizer.lr=0.5")) != digest
    assert cfg.resume is None


def test_a_folder_without_a_run_is_run(tmp_path, cfg):
    assert what_is_left(cfg, tmp_path, continued=True) is Todo.RUN


@pytest.mark.parametrize(
    ("status", "last", "expected"),
    [
        ("finished", True, Todo.SKIP),
        ("finished", False, Todo.SKIP),
        ("interrupted", True, Todo.RESUME),
        ("interrupted", False, Todo.REDO),
        ("failed", True, Todo.REDO),
    ],
)
def test_the_same_job_is_skipped_resumed_or_redone(left, cfg, status, last, expected):
    assert what_is_left(cfg, left(status, last=last), continued=True) is expected


@pytest.mark.parametrize("status", ["finished", "interrupted"])
@pytest.mark.parametrize(
    "facts", [{"fingerprint": "other"}, {"sweep": {"configuration": "other"}}, {"sweep": None}]
)
def test_other_data_or_another_configuration_is_redone(left, cfg, status, facts):
    assert what_is_left(cfg, left(status, **facts), continued=True) is Todo.REDO


def test_a_killed_job_is_resumed_and_a_living_one_left_alone(left, cfg):
    folder = left("running", pid=2**22 + 1, host=socket.gethostname())
    assert what_is_left(cfg, folder, continued=True) is Todo.RESUME
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"pid": os.getpid()}))
    before = (folder / "run.json").read_bytes()
    with pytest.raises(ConfigError, match="still runs"):
        what_is_left(cfg, folder, continued=True)
    assert (folder / "run.json").read_bytes() == before


def test_a_job_that_its_launcher_starts_anew_goes_on_though_nobody_resumed_the_sweep(left, cfg):
    facts = {"configuration": configuration_digest(cfg), "begun": "today"}
    folder = left("running", pid=1, host="another machine, gone by now", sweep=facts)
    assert what_is_left(cfg, folder, continued=False, begun="today") is Todo.RESUME
    (folder / "checkpoints" / "last.ckpt").unlink()
    assert what_is_left(cfg, folder, continued=False, begun="today") is Todo.REDO
    with pytest.raises(ConfigError, match="still runs"):
        what_is_left(cfg, folder, continued=True, begun="tomorrow")


@pytest.mark.parametrize(
    ("status", "job", "expected"),
    [("finished", 3, Todo.KEEP), ("failed", 3, Todo.REDO), ("finished", 1, Todo.REDO)],
)
def test_a_search_keeps_a_failed_job_that_finished_ones_were_chosen_by(
    left, cfg, status, job, expected
):
    folder = left("failed", sweep={"configuration": configuration_digest(cfg), "job": 2})
    other = folder.with_name("other")
    other.mkdir()
    (other / "run.json").write_text(json.dumps({"status": status, "sweep": {"job": job}}))
    assert what_is_left(cfg, folder, continued=True, search=True) is expected
    assert what_is_left(cfg, folder, continued=True) is Todo.REDO


def test_a_damaged_record_is_redone(left, cfg):
    folder = left("finished")
    (folder / "run.json").write_text("{")
    assert what_is_left(cfg, folder, continued=True) is Todo.REDO


def test_a_new_sweep_takes_no_folder_of_another(left, cfg):
    with pytest.raises(ConfigError, match="another sweep"):
        what_is_left(cfg, left("failed"), continued=False)


def test_what_is_replaced_is_kept_aside_under_a_number(left, cfg):
    folder = left("failed")
    assert put_aside(folder).name == "0-1"
    (folder / "run.json").write_text("{}")
    aside = put_aside(folder)
    assert aside.name == "0-2"
    assert (aside / "run.json").is_file()
    assert list(folder.iterdir()) == []
