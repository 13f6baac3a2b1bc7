"""Importing what is large: nothing of it is garbage, so nobody looks for garbage meanwhile."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from types import ModuleType


def import_large(name: str) -> ModuleType:
    """Import a library of many objects with the garbage collector at rest.

    A collection walks through all objects that are alive, and an import of a million of them makes
    hundreds of collections due, which took a quarter of the time of importing torch and Lightning.
    What was imported stays, so that later collections leave it out, too.

    Args:
        name: of the module; one that was imported before is given as it is.
    """
    if name in sys.modules:
        return sys.modules[name]
    enabled = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
