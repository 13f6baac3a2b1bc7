"""Programs hidden in files, as an attacker writes them: reading one would leave a mark."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch


class Program:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def pickled(path: Path, mark: Path) -> None:
    """A bare pickle, whatever the name says."""
    path.write_bytes(pickle.dumps({"state_dict": Program(mark)}))


def torch_file(path: Path, mark: Path) -> None:
    """What ``torch.save`` makes of a checkpoint with a program in it."""
    content = {"state_dict": {"w": torch.ones(1)}, "hyper_parameters": {}, "x": Program(mark)}
    torch.save(content, path)


def old_torch_file(path: Path, mark: Path) -> None:
    """The same in torch's form of before the zip files."""
    content = {"state_dict": {"w": torch.ones(1)}, "hyper_parameters": {}, "x": Program(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=False)


def object_array(path: Path, mark: Path) -> None:
    """A ``.npy`` file of objects."""
    with path.open("wb") as file:
        np.save(file, np.array([Program(mark)], dtype=object), allow_pickle=True)


def object_arrays(path: Path, mark: Path, *names: str) -> None:
    """A ``.npz`` file of objects."""
    array = np.array([Program(mark)], dtype=object)
    with path.open("wb") as file:
        np.savez(file, **dict.fromkeys(names, array))


def parquet(path: Path, mark: Path) -> None:
    """A table whose columns are pickles, one of them declared as a type to be unpickled."""
    program = pickle.dumps(Program(mark))
    declared = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": program,
    }
    columns = {"id": pa.array([program]), "label": pa.array([program])}
    schema = pa.schema(
        [pa.field("id", pa.binary(), metadata=declared), pa.field("label", pa.binary())],
        metadata={b"pandas": program},
    )
    pq.write_table(pa.table(columns, schema=schema), path)


def yaml_file(path: Path, mark: Path) -> None:
    """A configuration with a tag that full loaders follow."""
    path.write_text(f"model: !!python/object/apply:pathlib.Path.touch [!!python/name:x {mark}]\n")
