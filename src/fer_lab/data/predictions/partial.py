"""Tables of photographs that an interruption has left: what is in one is not done again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_lab.errors import ConfigError, DataError

# What must be the same for two tables to be parts of one, as the facts beside a table name it.
SAME = ("checkpoint_sha256", "classes", "image_size", "boxes")


def read_partial(file: Path, frame: pd.DataFrame, facts: dict[str, Any]) -> pd.DataFrame:
    """The rows of a partial table that are of these photographs.

    Args:
        file: the ``.csv`` file, with its ``.json`` beside it.
        frame: the rows of :class:`~fer_lab.data.photographs.Photographs`.
        facts: the :data:`SAME` facts of what goes on.

    Returns:
        Rows in the order of ``frame``, with its columns but ``box``, then those of predictions;
        ``position`` is the row of ``frame``.

    Raises:
        ConfigError: when the table was made with another checkpoint or other boxes.
        DataError: when it cannot be read.
    """
    try:
        earlier = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        table = pd.read_csv(file, dtype={"id": "str", "path": "str"}, float_precision="round_trip")
        other = [name for name in SAME if earlier[name] != facts[name]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"the partial table cannot be read: {type(error).__name__}: {error}",
            where=file,
            hint="name the .csv that was left, with its .json beside it; or leave partial out",
        ) from error
    if other:
        raise ConfigError(
            f"the partial table was made with another {', '.join(other)}",
            where=f"partial={file}",
            hint="go on with the same checkpoint and boxes, or leave partial out",
        )
    return _of(frame, table, facts["classes"], file)


def _of(
    frame: pd.DataFrame, table: pd.DataFrame, classes: Sequence[str], file: Path
) -> pd.DataFrame:
    keys = [name for name in frame.columns if name != "box"]
    shares = ["confidence", *(f"prob_{name}" for name in classes)]
    missing = [name for name in (*keys, "prediction", *shares) if name not in table]
    if missing:
        raise DataError(f"the partial table has no column {missing[0]}", where=file)
    own = pd.DataFrame(frame[keys]).assign(position=np.arange(len(frame)))
    own.attrs = {}
    kept = own.merge(table[[*keys, "prediction", *shares]].drop_duplicates(keys), on=keys)
    kept[shares] = kept[shares].astype(np.float32)
    return kept
