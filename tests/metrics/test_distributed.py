"""Two real processes give what one gives, with a group that only one of them sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing

from fer_lab.metrics import FairnessReport, GroupConfusion

CLASSES = ("neutral", "happy", "sad")
GROUPS = {"gender": ("female", "male"), "race": ("white", "black", "asian")}
COUNT = 101


def measure(rows: slice) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 3, (COUNT,), generator=generator)
    prediction = torch.where(
        torch.rand(COUNT, generator=generator) < 0.7,
        label,
        torch.randint(0, 3, (COUNT,), generator=generator),
    )
    # Rows at odd places are the second process's: the men, and all of unknown race.
    gender = torch.arange(COUNT) % 2
    race = torch.where(gender == 1, torch.randint(-1, 3, (COUNT,), generator=generator), 0)
    confusion = GroupConfusion(num_classes=3, num_groups=2)
    report = FairnessReport(CLASSES, GROUPS, min_count=2)
    for chosen in torch.arange(COUNT)[rows].split(16):
        confusion.update(prediction[chosen], label[chosen], gender[chosen])
        report.update(
            prediction[chosen], label[chosen], {"gender": gender[chosen], "race": race[chosen]}
        )
    return {
        "confusion": confusion.compute().tolist(),
        "scalars": {name: value.item() for name, value in report.compute().items()},
        "report": report.report(samples=20),
        "again": report.report(samples=20)["samples"],
    }


def run(rank: int, folder: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    result = measure(slice(rank, None, 2))
    (Path(folder) / f"{rank}.json").write_text(json.dumps(result))
    distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    multiprocessing.spawn(run, args=(str(tmp_path),), nprocs=2)
    alone = measure(slice(None))
    assert alone["report"]["samples"] == COUNT
    assert alone["report"]["attributes"]["race"]["groups"]["unknown"]["count"] > 0
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == alone
