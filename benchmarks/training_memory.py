"""Peak memory of a training through Lightning against a bare loop on the same model and tensors.

Each arm is a process of its own, forked from one that has imported everything and computed nothing:
it trains a model for a few steps, once through a real ``Trainer.fit``, once in a bare loop
(zero_grad, forward, loss, backward, step), and says how much memory it has held at most. On a CPU
that is the resident set, and two ratios are printed: of the whole, which is what a machine must
have, and of what is above the imports (Lightning among them, in both arms), which is the stricter
one. On CUDA it is what torch's allocator had given out. Arms alternate; medians of three.

Target: at most 1.05, of both.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import statistics
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

import torch
import torch.nn.functional as F  # noqa: N812
from pytorch_lightning import Trainer

from benchmarks._defaults import quiet
from benchmarks._models import CASES, build
from benchmarks.training_step import Batches
from fer_lab import models
from fer_lab.models import BaselineCNN, Classifier
from fer_lab.models.layer_groups import grouped
from fer_lab.models.optimization import build_optimizer

TARGET = 1.05
ARMS = ("lightning", "bare")
REPEATS = 3
STEPS = 4


def peak() -> float:
    """The largest resident set of this process so far, in MiB."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def through_lightning(model: Classifier, data: Batches, device: torch.device) -> None:
    Trainer(
        accelerator=device.type,
        devices=1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, data)


def bare(model: Classifier, data: Batches, device: torch.device) -> None:
    model.to(device).train()
    optimizer = build_optimizer(*grouped(model, model.optimizer_options))
    for batch in data:
        image, label = batch["image"].to(device), batch["label"].to(device)
        optimizer.zero_grad()
        F.cross_entropy(model(image), label).backward()
        optimizer.step()


def train(name: str, arm: str, answer: Connection) -> None:
    """Train in this process; answer with the peaks before and after, in MiB."""
    quiet()
    logging.getLogger("fer_lab").setLevel(logging.ERROR)  # frozen parts are random here
    torch.manual_seed(0)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    # A training of next to nothing imports, in both arms, what is imported late.
    through_lightning(BaselineCNN(image_size=8), Batches(1, 2, 8), device)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    before = 0.0 if cuda else peak()
    case = CASES[name]
    data = Batches(STEPS, case.batch, case.side)
    work = through_lightning if arm == "lightning" else bare
    work(build(name), data, device)
    after = torch.cuda.max_memory_allocated() / 2**20 if cuda else peak()
    answer.send((before, after))


def measured(name: str, arm: str) -> tuple[float, float]:
    """Peaks before and after a training, in MiB, of a process of its own."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=train, args=(name, arm, sender))
    process.start()
    sender.close()
    try:
        before, after = receiver.recv()
    except EOFError:
        raise SystemExit(f"{name}, {arm}: the training has failed") from None
    finally:
        process.join()
    return before, after


def compare(name: str) -> None:
    """One line: the whole and the added peak, and their ratios."""
    found: dict[str, list[tuple[float, float]]] = {arm: [] for arm in ARMS}
    for _ in range(REPEATS):
        for arm in ARMS:
            found[arm].append(measured(name, arm))
    whole = [statistics.median(after for _, after in found[arm]) for arm in ARMS]
    added = [statistics.median(after - before for before, after in found[arm]) for arm in ARMS]
    ratios = whole[0] / whole[1], added[0] / added[1]
    print(
        f"{name:<28} bare {whole[1]:6.0f} MiB, {added[1]:6.0f} above imports   "
        f"ratio {ratios[0]:.3f}, {ratios[1]:.3f} above imports   "
        f"target {TARGET}: {'ok' if max(ratios) <= TARGET else 'ABOVE TARGET'}",
        flush=True,
    )


def main(words: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(description="peak memory: Lightning against bare PyTorch")
    arguments.add_argument("--only", nargs="*", choices=list(CASES))
    given = arguments.parse_args(words)
    for case in CASES.values():  # the modules of all, so that no arm is the first to import one
        getattr(models, case.model)
    for name in given.only or CASES:
        compare(name)


if __name__ == "__main__":
    main()
