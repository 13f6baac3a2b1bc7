"""Launchers and sweepers that come with extras, and what to say where one is not installed."""

from __future__ import annotations

import logging
import re

_EXTRAS = {"joblib": "sweep", "submitit": "sweep", "optuna": "sweep", "ray": "ray"}
_OPTION = re.compile(r"hydra/(?:launcher|sweeper)/(joblib|submitit|optuna|ray)")
_MODULE = re.compile(r"hydra_plugins\.hydra_(joblib|submitit|optuna|ray)_")


def missing_extra(message: str) -> str | None:
    """What to install, if Hydra's error is about a launcher or sweeper that is not there.

    >>> missing_extra("Could not find 'hydra/launcher/ray'")
    "hydra's ray is not installed: pip install 'fer-lab[ray]'"
    """
    found = _OPTION.search(message) or _MODULE.search(message)
    if found is None:
        return None
    return f"hydra's {found[1]} is not installed: pip install 'fer-lab[{_EXTRAS[found[1]]}]'"


def quiet_search() -> None:
    """Keep Optuna from telling what the jobs, or the table at the end, tell better."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    logging.getLogger("hydra_plugins").setLevel(logging.ERROR)
