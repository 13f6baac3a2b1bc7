"""Datamodules over flat faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fer_lab.data import loading
from fer_lab.data.datamodule import FaceDataModule
from tests.data.flat_faces import flat_manifest
from tests.data.processes import Make


@pytest.fixture
def flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Datamodules over flat faces; ``change`` edits the manifest that the source gives."""

    def make(
        count: int = 100,
        *,
        change: Callable[[pd.DataFrame], None] | None = None,
        **options: Any,
    ) -> FaceDataModule:
        def read(name: str, **_: Any) -> pd.DataFrame:
            frame = flat_manifest(count, dataset=name)
            if change is not None:
                change(frame)
            return frame

        monkeypatch.setattr(loading, "read", read)
        settings: dict[str, Any] = {
            "attributes": ["gender"],
            "classes": ["happy", "sad"],
            "image_size": 8,
            "batch_size": 16,
            "cache_dir": tmp_path / "cache",
        }
        return FaceDataModule({"flat": {}}, **(settings | options))

    return make
