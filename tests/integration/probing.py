"""A callback that tells what a job may use of the machine that it runs on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback

from fer_lab.data.loaders import worker_count


class Shares(Callback):
    """Writes ``shares.json``: threads of this process, processes that would decode images.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_fit_start(self, *_: Any) -> None:
        shares = {"threads": torch.get_num_threads(), "loading": worker_count(1, in_memory=False)}
        (self.folder / "shares.json").write_text(json.dumps(shares))
