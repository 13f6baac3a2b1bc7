"""OpenCV, imported when it is first needed and set up for worker processes."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from fer_lab.errors import FerLabError


@cache
def opencv() -> Any:
    """Import ``cv2`` with its own threads off (loaders and renderers have processes of theirs).

    Raises:
        FerLabError: when the library cannot be loaded, naming what the system lacks.
    """
    try:
        module = importlib.import_module("cv2")
    except ImportError as error:
        raise FerLabError(
            f"OpenCV cannot be loaded: {error}",
            where="import cv2",
            hint="install the system libraries it needs (Debian and Ubuntu: "
            "`apt-get install libgl1 libglib2.0-0`); "
            "if the package itself is missing: `pip install 'opencv-python>=4.10,<5'`",
        ) from error
    module.setNumThreads(0)
    return module
