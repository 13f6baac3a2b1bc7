from __future__ import annotations

import pytest

from fer_lab.data.pixels import opencv
from fer_lab.errors import FerLabError


def test_opencv_is_loaded_once_without_threads_of_its_own():
    module = opencv.opencv()
    assert module is opencv.opencv()
    assert module.getNumThreads() == 1


def test_a_missing_system_library_is_named(monkeypatch):
    def fail(name: str):
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(opencv.importlib, "import_module", fail)
    with pytest.raises(FerLabError, match=r"libGL\.so\.1(.|\n)*libgl1 libglib2\.0-0"):
        opencv.opencv.__wrapped__()
