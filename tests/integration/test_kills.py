"""A training killed at any moment and resumed equals, bit for bit, one that was left alone."""

from __future__ import annotations

import json
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch

import fer_lab
from tests.integration.runs import finish, only_run, record, start
from tests.integration.test_interruptions import wait_for

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

draw = random.Random(2)


class Moment(NamedTuple):
    """When a run is killed: in a hook, or after some share of an unbroken run's seconds."""

    name: str
    hook: str | None = None
    count: int = 1
    share: float = 0.0
    options: tuple[str, ...] = QUIET


# Checkpoints of an epoch: after steps 3, 6 and 9, then best (where it is better) and last.
MOMENTS = (
    Moment("at the start", "on_train_start"),
    Moment("in an epoch", "on_train_batch_end", draw.randint(2, BATCHES)),
    Moment("in an epoch, W&B", "on_train_batch_start", BATCHES + draw.randint(2, BATCHES), 0, ()),
    Moment(
        "in an epoch, loading processes",
        "on_train_batch_end",
        2 * BATCHES + draw.randint(4, BATCHES),
        0,
        (*QUIET, "data.num_workers=2"),
    ),
    Moment("in validation", "on_validation_batch_end", draw.randint(1, 2 * VALIDATIONS)),
    Moment(
        "after an epoch, loading processes",
        "on_train_epoch_start",
        2,
        0,
        (*QUIET, "data.num_workers=2", "callbacks.last_checkpoint.steps=null"),
    ),
    Moment("writing last.ckpt within an epoch", "write", 2),
    Moment("writing best.ckpt", "write", 4),
    Moment("between best.ckpt and last.ckpt", "on_save_checkpoint", 5),
    Moment("writing last.ckpt after an epoch", "write", 5),
    Moment("in the test", "on_test_batch_end"),
    *(Moment("any time", share=draw.uniform(0.1, 0.6)) for _ in range(2)),
)


def options(moment: Moment) -> list[str]:
    if moment.hook is None:
        return [*TRAINING, *OFTEN, *moment.options]
    kill = (
        f"{{_target_: tests.integration.killing.Kill, hook: {moment.hook}, count: {moment.count},"
        " folder: '${hydra:runtime.output_dir}/checkpoints'}"
    )
    return [*TRAINING, *OFTEN, *moment.options, f"+callbacks.kill={kill}"]


def killed(place: Path, moment: Moment, seconds: float) -> Path:
    """The folder of a run that has ended by ``kill -9``."""
    process = start(place, *options(moment), PYTHONPATH=f"{ROOT / 'src'}:{ROOT}")
    if moment.hook is None:
        wait_for(lambda: place.glob("outputs/*/*/run.json"), process)
        time.sleep(moment.share * seconds)
        process.kill()
    _, err = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, err
    folder = only_run(place)
    assert record(folder)["status"] == "running"
    return folder


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
        for part in ("state_dict", "trained_weights", "optimizer_states", "generators"):
            found[f"{name} {part}"] = content[part]
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


def outcome(place: Path, moment: Moment, seconds: float) -> tuple[str, list[Path], dict[str, Any]]:
    """What a run was resumed from, the unfinished files that it left, and what it ended with."""
    place.mkdir()
    folder = killed(place, moment, seconds)
    left = [path for path in folder.rglob(".unfinished-*") if path.is_file()]
    stood = reached(folder)
    assert fer_lab.load_run(folder).status == "interrupted"
    extra = ["~callbacks.kill"] if moment.hook else []
    done = finish(place, f"resume={folder}", *extra, PYTHONPATH=f"{ROOT / 'src'}:{ROOT}")
    assert done.returncode == 0, done.stderr
    assert record(folder)["status"] == "finished"
    assert not list(folder.rglob(".unfinished-*"))
    return stood, left, facts(folder)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> tuple[dict[str, Any], float]:
    """Facts of a run with checkpoints at the ends of epochs alone, and its seconds."""
    place = tmp_path_factory.mktemp("unbroken")
    done = finish(place, *TRAINING, *QUIET, PYTHONPATH=f"{ROOT / 'src'}:{ROOT}")
    assert done.returncode == 0, done.stderr
    return facts(only_run(place)), record(only_run(place))["durations"]["total"]


def test_every_killed_and_resumed_run_equals_the_unbroken_one(tmp_path, unbroken):
    expected, seconds = unbroken
    places = [tmp_path / str(number) for number in range(len(MOMENTS))]
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(outcome, places, MOMENTS, [seconds] * len(MOMENTS)))
    table = []
    for moment, (stood, left, found) in zip(MOMENTS, ends, strict=True):
        differs = [name for name in expected if not same(expected[name], found[name])]
        table.append((moment.name, stood, ", ".join(differs) or "equal"))
        if moment.hook == "write":
            assert any(path.suffix == ".ckpt" for path in left), moment.name
    print()
    for name, stood, result in (("killed", "resumed from", "result"), *table):
        print(f"{name:<36}{stood:<22}{result}")
    assert {result for *_, result in table} == {"equal"}
