"""A training killed at any moment and resumed equals, bit for bit, one that was left alone."""

from __future__ import annotations

import json
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch

import fer_lab
from tests.integration.runs import finish, only_run, record

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EPOCHS, BATCHES, VALIDATIONS, STEPS = 3, 10, 2, 3

# Everything that has a state of its own: averaged weights, a schedule over the whole training,
# augmentation, dropout.
TRAINING = (
    "dataset.train=160",
    "dataset.val=64",
    "dataset.test=65",
    "recipe.image_size=48",
    "recipe.batch_size=16",
    f"trainer.max_epochs={EPOCHS}",
    "model.scheduler.name=one_cycle",
    "callbacks.averaging.decay=0.9",
    "callbacks.fairness.resamples=10",
    "explain=none",
)
QUIET = ("logger=none",)
OFTEN = (f"callbacks.last_checkpoint.steps={STEPS}",)
WORKERS = ("data.num_workers=2",)
DDP = (*QUIET, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")

draw = random.Random(5)


class Moment(NamedTuple):
    """When a run is killed: in or after the n-th call of a hook."""

    phase: str
    hook: str
    count: int = 1
    after: float = 0.0
    options: tuple[str, ...] = QUIET


def any_time() -> Moment:
    batch = draw.randint(1, EPOCHS * BATCHES)
    return Moment("any time", "on_train_batch_start", batch, draw.uniform(0.001, 0.1))


# Checkpoints of an epoch: after steps 3, 6 and 9, then best (where it is better) and last.
MOMENTS = (
    Moment("at the start", "on_train_start"),
    Moment("in an epoch", "on_train_batch_end", draw.randint(STEPS + 1, BATCHES)),
    Moment(
        "in an epoch (W&B, loading processes)",
        "on_train_batch_start",
        BATCHES + draw.randint(STEPS + 1, BATCHES),
        options=WORKERS,
    ),
    Moment("in validation", "on_validation_batch_end", draw.randint(1, 2 * VALIDATIONS)),
    Moment(
        "at an epoch's start (loading processes)",
        "on_train_epoch_start",
        draw.randint(2, EPOCHS),
        options=(*QUIET, *WORKERS, "callbacks.last_checkpoint.steps=null"),
    ),
    Moment("writing last.ckpt within an epoch", "write", 2),
    Moment("writing best.ckpt", "write", 4),
    Moment("between best.ckpt and last.ckpt", "on_save_checkpoint", 5),
    Moment("writing last.ckpt after an epoch", "write", 5),
    Moment("in the test", "on_test_batch_end"),
    any_time(),
    any_time(),
)


def options(moment: Moment) -> list[str]:
    kill = (
        f"{{_target_: tests.integration.killing.Kill, hook: {moment.hook}, count: {moment.count},"
        f" after: {moment.after}, folder: '${{hydra:runtime.output_dir}}'}}"
    )
    return [*TRAINING, *OFTEN, *moment.options, f"+callbacks.kill={kill}"]


def run(place: Path, *overrides: str) -> Any:
    path = f"{ROOT / 'src'}:{ROOT}"
    return finish(place, *overrides, PYTHONPATH=path, FER_LAB_TRUST="tests")


def killed(place: Path, moment: Moment) -> Path:
    """The folder of a run that has ended by ``kill -9``."""
    place.mkdir()
    done = run(place, *options(moment))
    assert done.returncode == -signal.SIGKILL, done.stderr
    folder = only_run(place)
    assert record(folder)["status"] == "running"
    assert fer_lab.load_run(folder).status == "interrupted"
    return folder


def resumed(place: Path, folder: Path) -> dict[str, Any]:
    """What a killed run ends with."""
    done = run(place, f"resume={folder}", "~callbacks.kill")
    assert done.returncode == 0, done.stderr
    assert record(folder)["status"] == "finished"
    assert not list(folder.rglob(".unfinished-*"))
    return facts(folder)


def reached(folder: Path) -> str:
    """Where the checkpoint stands that the run goes on from."""
    last = folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return "no checkpoint"
    loops = torch.load(last, weights_only=True)["loops"]["fit_loop"]
    epochs = loops["epoch_progress"]["current"]
    if epochs["started"] == epochs["processed"]:
        return f"end of epoch {epochs['processed'] - 1}"
    batches = loops["epoch_loop.batch_progress"]["current"]["ready"]
    return f"epoch {epochs['processed']}, {batches} batches"


def facts(folder: Path) -> dict[str, Any]:
    """All that must be the same, by what it is."""
    found: dict[str, Any] = {
        "history": (folder / "metrics" / "history.csv").read_text(),
        "summary": record(folder)["summary"],
    }
    for split in ("val", "test"):
        found[f"{split} metrics"] = json.loads((folder / "metrics" / f"{split}.json").read_text())
        found[f"{split} rows"] = pd.read_parquet(folder / "predictions" / f"{split}.parquet")
    for name in ("best", "last"):
        content = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        for part in ("state_dict", "trained_weights", "optimizer_states", "lr_schedulers"):
            found[f"{name} {part}"] = content[part]
        found[f"{name} generators"] = content["generators"]
    return found


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, pd.DataFrame):
        return one.equals(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def differing(expected: dict[str, Any], found: dict[str, Any]) -> str:
    return ", ".join(name for name in expected if not same(expected[name], found[name]))


def outcome(place: Path, moment: Moment) -> tuple[str, str, bool, dict[str, Any]]:
    """Where a run was killed and resumed from, whether it left a torn checkpoint, and its end."""
    folder = killed(place, moment)
    torn = any(path.suffix == ".ckpt" for path in folder.rglob(".unfinished-*"))
    stood = reached(folder)
    return (folder / "killed.txt").read_text(), stood, torn, resumed(place, folder)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> dict[str, Any]:
    """Facts of a run with checkpoints at the ends of epochs alone."""
    place = tmp_path_factory.mktemp("unbroken")
    done = run(place, *TRAINING, *QUIET)
    assert done.returncode == 0, done.stderr
    return facts(only_run(place))


def test_every_killed_and_resumed_run_equals_the_unbroken_one(tmp_path, unbroken):
    places = [tmp_path / str(number) for number in range(len(MOMENTS))]
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(outcome, places, MOMENTS))
    rows = [("phase", "killed in", "resumed from", "equal?")]
    for moment, (where, stood, torn, found) in zip(MOMENTS, ends, strict=True):
        differs = differing(unbroken, found)
        rows.append((moment.phase, where, stood, f"no: {differs}" if differs else "yes"))
        assert torn == (moment.hook == "write"), moment.phase
    print()
    for phase, where, stood, equal in rows:
        print(f"{phase:<42}{where:<26}{stood:<22}{equal}")
    assert [row[-1] for row in rows[1:]] == ["yes"] * len(MOMENTS)


def test_two_processes_killed_in_mid_epoch_go_on_as_if_left_alone(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    assert run(whole, *TRAINING, *DDP).returncode == 0
    place = tmp_path / "killed"
    # Five batches each: after eight, the checkpoint is of the second epoch's first step.
    folder = killed(place, Moment("two processes", "on_train_batch_end", 8, options=DDP))
    assert reached(folder) == "epoch 1, 1 batches"
    assert differing(facts(only_run(whole)), resumed(place, folder)) == ""
