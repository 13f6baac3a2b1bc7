"""What the tests of ``fer-lab predict`` share."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fer_lab.predict import predict
from tests.integration.deployed import composed, write_trained


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a trained run, and its model."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, write_trained(folder)


@pytest.fixture
def predicted(trained, tmp_path):
    """Predict with the run's model in one folder."""

    def asked(image: object, *overrides: str, checkpoint: Path | None = None) -> pd.DataFrame:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        words = (f"checkpoint='{checkpoint or trained[0]}'", f"image='{image}'", "device=cpu")
        return predict(composed("predict", *words, *overrides), out).set_index("id")

    asked.out = tmp_path / "out"
    return asked
