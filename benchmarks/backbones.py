"""The training step of every backbone through Lightning against a bare loop, block by block.

How it is measured stands in ``training_step``. Images are as small and batches as few as steps of
about a tenth of a second or more allow; a ratio is that of the stack around the backbone, which
does not depend on their size. ``--only NAME …`` measures some.

Target: at most 1.05 for each.
"""

from __future__ import annotations

import argparse
import gc
import logging

import torch

from benchmarks._defaults import quiet
from benchmarks._models import CASES, build
from benchmarks.training_step import measure, report


def main() -> None:
    arguments = argparse.ArgumentParser(description="each backbone: Lightning against bare PyTorch")
    arguments.add_argument("--pairs", type=int, default=11)
    arguments.add_argument("--only", nargs="*", choices=list(CASES))
    given = arguments.parse_args()
    quiet()
    logging.getLogger("fer_lab").setLevel(logging.ERROR)  # frozen parts are random here
    for name in given.only or CASES:
        case = CASES[name]
        torch.manual_seed(0)
        model = build(name)
        found = measure(model, batch_size=case.batch, steps=case.steps, pairs=given.pairs)
        report(f"{name} {case.batch} × {case.side} px", found, case.steps)
        del model
        gc.collect()


if __name__ == "__main__":
    main()
