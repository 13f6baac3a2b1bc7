"""Datasets in their published layouts, each read into one manifest."""

from __future__ import annotations

import os
from importlib import import_module
from inspect import Parameter, signature
from typing import Any

import pandas as pd

from fer_lab.data.manifest import validate
from fer_lab.errors import ConfigError, near_miss

# One module a dataset, with a function ``read(root, **options)``, imported when it is asked for.
SOURCES = {
    "affectnet": "fer_lab.data.sources.affectnet",
    "celeba": "fer_lab.data.sources.celeba",
    "celebamask_hq": "fer_lab.data.sources.celebamask_hq",
    "ckplus": "fer_lab.data.sources.ckplus",
    "expw": "fer_lab.data.sources.expw",
    "fer2013": "fer_lab.data.sources.fer2013",
    "fairface": "fer_lab.data.sources.fairface",
    "jaffe": "fer_lab.data.sources.jaffe",
    "kdef": "fer_lab.data.sources.kdef",
    "rafdb": "fer_lab.data.sources.rafdb",
    "rfw": "fer_lab.data.sources.rfw",
    "shards": "fer_lab.data.sources.shards",
    "folder": "fer_lab.data.sources.folder",
    "synthetic": "fer_lab.data.sources.synthetic",
    "table": "fer_lab.data.sources.table",
}


def read(name: str, root: str | os.PathLike[str] | None = None, **options: Any) -> pd.DataFrame:
    """Read a dataset into a manifest.

    Args:
        name: one of ``SOURCES``.
        root: the dataset's folder; ignored by ``synthetic``, which has none.
        **options: the dataset's own, see its module.

    Returns:
        The validated manifest, one row per face.

    Raises:
        ConfigError: for a name or an option that does not exist.
        DataError: when the folder does not have the dataset's layout.
    """
    if name not in SOURCES:
        raise ConfigError(
            f"no dataset {name!r}{_near(name, list(SOURCES))}",
            where="dataset",
            hint=f"datasets: {', '.join(SOURCES)}; one of another name says which by `source`",
        )
    function = import_module(SOURCES[name]).read
    parameters = [each for each in signature(function).parameters.values() if each.name != "root"]
    if all(each.kind is not Parameter.VAR_KEYWORD for each in parameters):
        known = [each.name for each in parameters]
        for option in options:
            if option not in known:
                raise ConfigError(
                    f"{name} has no option {option!r}{_near(option, known)}",
                    where=f"dataset.sources.{name}.{option}",
                    hint=f"options: {', '.join(['root', *known])}",
                )
    return validate(function(root, **options))


def _near(name: str, known: list[str]) -> str:
    near = near_miss(name, known)
    return f"; did you mean {near!r}?" if near else ""
