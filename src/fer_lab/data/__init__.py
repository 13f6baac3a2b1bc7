"""Datasets as tables: sources, manifests, splits, loading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_lab.data.attribute_datamodule import CelebADataModule as CelebADataModule
    from fer_lab.data.attribute_datamodule import CelebAMaskHQDataModule as CelebAMaskHQDataModule
    from fer_lab.data.attribute_datamodule import FairFaceDataModule as FairFaceDataModule
    from fer_lab.data.attribute_datamodule import RFWDataModule as RFWDataModule
    from fer_lab.data.datamodule import AffectNetDataModule as AffectNetDataModule
    from fer_lab.data.datamodule import CKPlusDataModule as CKPlusDataModule
    from fer_lab.data.datamodule import ExpWDataModule as ExpWDataModule
    from fer_lab.data.datamodule import FER2013DataModule as FER2013DataModule
    from fer_lab.data.datamodule import FolderDataModule as FolderDataModule
    from fer_lab.data.datamodule import JAFFEDataModule as JAFFEDataModule
    from fer_lab.data.datamodule import KDEFDataModule as KDEFDataModule
    from fer_lab.data.datamodule import RAFDBDataModule as RAFDBDataModule
    from fer_lab.data.datamodule import ShardsDataModule as ShardsDataModule
    from fer_lab.data.datamodule import SyntheticDataModule as SyntheticDataModule
    from fer_lab.data.datamodule import TableDataModule as TableDataModule
    from fer_lab.data.dataset import FaceDataset as FaceDataset
    from fer_lab.data.face_datamodule import FaceDataModule as FaceDataModule
    from fer_lab.data.sources import read as read

_HOMES = {
    "AffectNetDataModule": "fer_lab.data.datamodule",
    "CKPlusDataModule": "fer_lab.data.datamodule",
    "CelebADataModule": "fer_lab.data.attribute_datamodule",
    "CelebAMaskHQDataModule": "fer_lab.data.attribute_datamodule",
    "ExpWDataModule": "fer_lab.data.datamodule",
    "FER2013DataModule": "fer_lab.data.datamodule",
    "FaceDataModule": "fer_lab.data.face_datamodule",
    "FaceDataset": "fer_lab.data.dataset",
    "FairFaceDataModule": "fer_lab.data.attribute_datamodule",
    "FolderDataModule": "fer_lab.data.datamodule",
    "JAFFEDataModule": "fer_lab.data.datamodule",
    "KDEFDataModule": "fer_lab.data.datamodule",
    "RAFDBDataModule": "fer_lab.data.datamodule",
    "RFWDataModule": "fer_lab.data.attribute_datamodule",
    "ShardsDataModule": "fer_lab.data.datamodule",
    "SyntheticDataModule": "fer_lab.data.datamodule",
    "TableDataModule": "fer_lab.data.datamodule",
    "read": "fer_lab.data.sources",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: rendering workers need no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
