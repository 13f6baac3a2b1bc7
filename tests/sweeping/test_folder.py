"""What a sweep says of itself, and how it is found again."""

from __future__ import annotations

import json

import pytest
from omegaconf import DictConfig, OmegaConf

from fer_lab.errors import ConfigError, DataError
from fer_lab.sweeping.folder import Sweep, find_sweep, job_states, swept_keys, write_state


def sweep_of(folder, *words: str, **params: str) -> DictConfig:
    hydra = {"overrides": {"task": list(words)}, "sweep": {"dir": str(folder)}}
    hydra |= {"sweeper": {"params": params or None}, "launcher": {"_target_": "BasicLauncher"}}
    return OmegaConf.create({"hydra": hydra})


def test_what_varies_are_values_in_number_ranges_and_the_sweepers_own_parameters(tmp_path):
    config = sweep_of(
        *(tmp_path, "split=female,male", "attributes=[gender,age]", "++model.optimizer.base=a,b"),
        *("seed=range(1,4)", "model.optimizer.lr=tag(log,interval(1e-4,1e-2))"),
        *("name='x-${seed}'", "notes='${hydra:runtime.output_dir}'"),
        **{"split.leave_out": "'a','b'"},
    )
    assert swept_keys(config) == [
        *("split", "model.optimizer.base", "seed", "model.optimizer.lr", "split.leave_out"),
    ]


def test_a_jobs_choices_are_those_overrides_that_vary(tmp_path):
    sweep = Sweep("train", [], swept=["split", "model.optimizer.base"])
    words = ["split=female", "name='a=b'", "++model.optimizer.base=a", "split.folds=5"]
    assert sweep.choices(words) == ["split=female", "model.optimizer.base=a"]


def test_a_sweep_that_goes_on_keeps_what_was_asked_for_and_forgets_how_far_jobs_came(tmp_path):
    folder = tmp_path / "multirun" / "day" / "time"
    Sweep("train", ["--multirun", "seed=1,2"]).begin(sweep_of(folder, "seed=1,2"))
    write_state(folder, 10, {"status": "failed"})
    write_state(folder, 9, {"status": "finished"})
    assert [state["job"] for state in job_states(folder)] == [9, 10]
    before = (folder / "sweep.json").read_bytes()
    Sweep("train", ["other"], continued=True).begin(sweep_of(folder, "seed=1,2"))
    assert (folder / "sweep.json").read_bytes() == before
    assert json.loads(before)["swept"] == ["seed"]
    assert job_states(folder) == []
    for wanted in (str(folder), "last"):
        found, content = find_sweep(wanted, root=str(tmp_path / "multirun"))
        assert found == folder
        assert content["words"] == ["--multirun", "seed=1,2"]


def test_a_new_sweep_takes_no_folder_of_another_one(tmp_path):
    Sweep("train", ["first"]).begin(sweep_of(tmp_path, "seed=1,2"))
    before = (tmp_path / "sweep.json").read_bytes()
    second = Sweep("train", ["second"])
    with pytest.raises(ConfigError, match="holds a sweep already"):
        second.begin(sweep_of(tmp_path, "seed=1,2"))
    assert (tmp_path / "sweep.json").read_bytes() == before
    assert second.folder is None


def test_what_is_no_sweep_or_a_damaged_one_is_said(tmp_path):
    with pytest.raises(ConfigError, match="no sweep to resume"):
        find_sweep("last", root=str(tmp_path))
    with pytest.raises(ConfigError, match="holds no sweep"):
        find_sweep(str(tmp_path))
    (tmp_path / "sweep.json").write_text('{"task": "train"}')
    with pytest.raises(DataError, match="damaged"):
        find_sweep(str(tmp_path))
