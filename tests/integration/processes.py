"""Callbacks that several processes of one job are started with, to look at them or to break one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback
from torch.distributed.distributed_c10d import _get_default_group

from fer_lab.errors import DataError


class Collectives(Callback):
    """Leaves ``collectives-<rank>.json``: how many there had been at each batch of a test."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.seen: list[int] = []

    def on_test_batch_start(self, *_: Any) -> None:
        self.seen.append(_get_default_group()._get_sequence_number_for_group())

    def on_test_batch_end(self, *_: Any) -> None:
        self.seen.append(_get_default_group()._get_sequence_number_for_group())

    def on_test_end(self, trainer: Any, *_: Any) -> None:
        after = _get_default_group()._get_sequence_number_for_group()
        path = self.folder / f"collectives-{trainer.global_rank}.json"
        path.write_text(json.dumps({"batches": self.seen, "after": after}))


class Failure(Callback):
    """Ends the second process in its second step, in the way that is named."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_rank != 1 or trainer.global_step != 1:
            return
        if self.kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "mistake":
            raise DataError("a file is gone", where="face.png", hint="put it back")
        raise ValueError("a bug of the second process")
