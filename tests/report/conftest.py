"""One whole made-up run, written once."""

from __future__ import annotations

import pytest

from fer_lab.report.run import Run
from tests.report.fabricated import write_run


@pytest.fixture(scope="session")
def whole_folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "2026-03-01" / "10-00-00")


@pytest.fixture
def run(whole_folder):
    return Run(whole_folder)
