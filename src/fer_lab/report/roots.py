"""The folders that runs are looked for in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fer_lab.errors import DataError

ROOTS = ("outputs", "multirun")


def named_folders(given: object) -> list[str]:
    """The folders to read: those named, else those of :data:`ROOTS` that are there.

    Args:
        given: of the configuration: a name, a list of them, or None.

    Raises:
        DataError: when nothing is named and neither is there.
    """
    names = given if isinstance(given, list) else [given] * (given is not None)
    found = [str(Path(str(name)).expanduser()) for name in names]
    found = found or [root for root in ROOTS if Path(root).is_dir()]
    if not found:
        raise DataError(
            "there are no runs here: neither outputs nor multirun is a folder",
            where=Path.cwd(),
            hint="runs=FOLDER names a folder with runs anywhere below",
        )
    return found


def no_runs(roots: Sequence[str | os.PathLike[str]]) -> DataError:
    """The error for folders without any run."""
    return DataError(
        "there are no runs",
        where=", ".join(str(Path(root).absolute()) for root in roots),
        hint="fer-lab train makes one; runs=FOLDER names other folders",
    )
