"""A LightningDataModule for each dataset that has attributes and no expressions."""

from __future__ import annotations

import os
from typing import Any

from fer_lab.data.face_datamodule import FaceDataModule


class CelebADataModule(FaceDataModule):
    """CelebA: see ``fer_lab.data.sources.celeba``.

    Args:
        root: folder of the release.
        exclude: CelebAMask-HQ's mapping file, whose images are left out.
        target: the attribute to tell apart.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        exclude: str | os.PathLike[str] | None = None,
        target: str = "gender",
        **options: Any,
    ) -> None:
        source = {"root": root, "exclude": exclude}
        super().__init__({"celeba": source}, target=target, **options)


class CelebAMaskHQDataModule(FaceDataModule):
    """CelebAMask-HQ with its region masks: see ``fer_lab.data.sources.celebamask_hq``.

    Args:
        root: folder of the release.
        celeba_root: folder with CelebA's lists; ``root`` by default.
        target: the attribute to tell apart.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        celeba_root: str | os.PathLike[str] | None = None,
        target: str = "gender",
        **options: Any,
    ) -> None:
        source = {"root": root, "celeba_root": celeba_root}
        super().__init__({"celebamask_hq": source}, target=target, **options)


class FairFaceDataModule(FaceDataModule):
    """FairFace: see ``fer_lab.data.sources.fairface``.

    Args:
        root: folder of the release.
        target: ``race``, ``gender`` or ``age``.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self, root: str | os.PathLike[str], *, target: str = "race", **options: Any
    ) -> None:
        super().__init__({"fairface": {"root": root}}, target=target, **options)


class RFWDataModule(FaceDataModule):
    """RFW, which has test rows only: see ``fer_lab.data.sources.rfw``.

    Args:
        root: folder of the release.
        target: ``race``.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self, root: str | os.PathLike[str], *, target: str = "race", **options: Any
    ) -> None:
        super().__init__({"rfw": {"root": root}}, target=target, **options)
