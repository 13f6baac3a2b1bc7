"""What all tests share: a cache of their own, one thread, no talk from libraries."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Rendered faces and verdicts on files are shared by the tests, not with the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_LAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
