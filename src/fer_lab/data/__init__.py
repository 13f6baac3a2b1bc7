"""Datasets as tables: sources, manifests, splits, loading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_lab.data.datamodule import (
        AffectNetDataModule as AffectNetDataModule,
    )
    from fer_lab.data.datamodule import (
        FaceDataModule as FaceDataModule,
    )
    from fer_lab.data.datamodule import (
        SyntheticDataModule as SyntheticDataModule,
    )
    from fer_lab.data.dataset import FaceDataset as FaceDataset
    from fer_lab.data.sources import read as read

_HOMES = {
    "AffectNetDataModule": "fer_lab.data.datamodule",
    "FaceDataModule": "fer_lab.data.datamodule",
    "FaceDataset": "fer_lab.data.dataset",
    "SyntheticDataModule": "fer_lab.data.datamodule",
    "read": "fer_lab.data.sources",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: rendering workers need no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
