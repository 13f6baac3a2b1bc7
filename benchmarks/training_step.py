"""A training step through Lightning against a bare PyTorch loop on the same model and tensors.

Two equal models start from the same weights. One is trained by a real ``Trainer.fit`` over batches
in memory. Every few steps a callback stops the clock, lets a bare loop (zero_grad, forward, loss,
backward, step, with the same optimizer) take as many steps with the other model, and starts the
clock again: blocks of both arms alternate in one process, under the same load. A block of
Lightning's runs from the end of that hook to its next call, and so holds all that the stack does
for a step: fetching, moving and looping, hooks, our sums, the optimizer, logging. The first blocks
warm up; printed are the median ratio of the pairs and its spread.

Target: at most 1.05.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import Logger

from benchmarks._defaults import default_run, quiet
from benchmarks._ratios import print_ratio
from fer_lab.callbacks import History
from fer_lab.models import BaselineCNN, Classifier, ResNet50
from fer_lab.models.layer_groups import grouped
from fer_lab.models.optimization import build_optimizer
from fer_lab.train import build_callbacks

TARGET = 1.05
WARM_UP = 2


class Batches:
    """The same few batches in memory, over and over."""

    def __init__(self, count: int, batch_size: int, image_size: int, different: int = 4) -> None:
        generator = torch.Generator().manual_seed(0)
        self.count = count
        self.batches = [
            {
                "image": torch.rand(
                    batch_size, 3, image_size, image_size, generator=generator
                ).contiguous(memory_format=torch.channels_last),
                "label": torch.randint(0, 7, (batch_size,), generator=generator),
            }
            for _ in range(different)
        ]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return (self.batches[step % len(self.batches)] for step in range(self.count))


class Alternation(Callback):
    """Times blocks of Lightning's steps, and a bare block after each."""

    def __init__(self, steps: int, bare_block: Callable[[], None]) -> None:
        self.steps, self.bare_block = steps, bare_block
        self.pairs: list[tuple[float, float]] = []
        self.started = 0.0

    def on_train_batch_start(
        self, _trainer: Trainer, _module: LightningModule, _batch: Any, batch_idx: int
    ) -> None:
        """Change arms at the end of a block."""
        if batch_idx % self.steps:
            return
        stopped = time.perf_counter()
        self.bare_block()
        resumed = time.perf_counter()
        if batch_idx:
            self.pairs.append((stopped - self.started, resumed - stopped))
        self.started = time.perf_counter()


def measure(
    model: Classifier,
    *,
    batch_size: int,
    steps: int,
    pairs: int,
    callbacks: Sequence[Callback] = (),
    logger: Logger | bool = False,
) -> list[tuple[float, float]]:
    """Seconds of each pair of blocks: Lightning's, bare.

    Args:
        model: trained by Lightning; a copy of it is trained by the bare loop.
        batch_size: images a step.
        steps: steps a block.
        pairs: pairs kept after the first ones.
        callbacks: that the trainer has beside the clock.
        logger: that the trainer has.
    """
    bare = copy.deepcopy(model).train()
    optimizer = build_optimizer(*grouped(bare, bare.optimizer_options))
    data = Batches((pairs + WARM_UP) * steps + 1, batch_size, model.image_size)

    def bare_block() -> None:
        for step in range(steps):
            batch = data.batches[step % len(data.batches)]
            optimizer.zero_grad()
            F.cross_entropy(bare(batch["image"]), batch["label"]).backward()
            optimizer.step()

    clock = Alternation(steps, bare_block)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=logger,
        enable_checkpointing=bool(callbacks),
        enable_progress_bar=bool(callbacks),
        enable_model_summary=False,
        callbacks=[*callbacks, clock],
    )
    trainer.fit(model, data)
    return clock.pairs[WARM_UP:]


def report(name: str, pairs: list[tuple[float, float]], steps: int) -> None:
    """One line: the median ratio, its spread, and whether it keeps to the target."""
    step = statistics.median(bare for _, bare in pairs) / steps * 1000
    print_ratio(name, pairs, TARGET, f"bare step {step:7.1f} ms")


def main() -> None:
    arguments = argparse.ArgumentParser(description="training step: Lightning against bare PyTorch")
    arguments.add_argument("--pairs", type=int, default=15)
    pairs = arguments.parse_args().pairs
    quiet()
    torch.manual_seed(0)
    for name, model, batch_size, steps in (
        ("baseline_cnn 64 × 64 px", BaselineCNN(), 64, 10),
        ("resnet50 8 × 96 px", ResNet50(image_size=96), 8, 4),
    ):
        report(name, measure(model, batch_size=batch_size, steps=steps, pairs=pairs), steps)
    with default_run("logger=none") as (cfg, folder):
        found = measure(
            BaselineCNN(),
            batch_size=64,
            steps=10,
            pairs=pairs,
            callbacks=build_callbacks(cfg),
            logger=History(folder),
        )
    report("baseline_cnn, all callbacks", found, 10)


if __name__ == "__main__":
    main()
