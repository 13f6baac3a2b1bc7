"""Fair and explainable facial-expression recognition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_lab.report.run import Run as Run
    from fer_lab.report.run import load_run as load_run
    from fer_lab.report.run import runs as runs

__version__ = "0.1.0"

__all__ = ["Run", "__version__", "load_run", "runs"]


def __getattr__(name: str) -> Any:
    """Import the readers of run folders when they are first used."""
    if name in ("Run", "load_run", "runs"):
        from fer_lab.report import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
