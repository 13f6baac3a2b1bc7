"""Writing checkpoints, so that no process ever finds a part of one under its name."""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from fer_lab.files import atomic_path


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's way to save, with the temporary file beside the checkpoint.

    Lightning 2.6 writes to the system's folder of temporary files and moves the file from there. To
    another file system a move is a copy: a process killed during it leaves a torn checkpoint in
    place of a whole one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint, or leave the one that is there.

        Raises:
            OSError: where there is no room for it, or no right to write.
        """
        assert storage_options is None, "a folder takes no options"
        try:
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:
            # torch's writer fails once more as it closes, and only that error comes through.
            first = error.__context__
            if isinstance(first, OSError):
                raise OSError(first.errno, first.strerror, os.fspath(path)) from error
            raise
