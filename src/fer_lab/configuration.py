"""Where the configuration lives and what it needs from Python before it is composed."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

from omegaconf import OmegaConf


@lru_cache(maxsize=1)
def config_directory() -> Path:
    """The folder of Hydra groups: inside the installed package, or the checkout's own."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def group_options() -> dict[str, list[str]]:
    """The options of every group found on disk, ``{"split": ["female", ...], ...}``."""
    root = config_directory()
    groups: dict[str, list[str]] = {}
    for file in sorted(root.glob("*/**/*.yaml")):
        group = file.parent.relative_to(root).as_posix()
        groups.setdefault(group, []).append(file.stem)
    return groups


@cache
def fresh_folder(path: str) -> str:
    """Claim ``path``, or ``path-2`` and so on, for this process alone."""
    candidate, number = Path(path), 1
    while True:
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            if candidate.is_file():
                return str(candidate)
            number += 1
            candidate = Path(f"{path}-{number}")
        else:
            return str(candidate)


def register_resolvers() -> None:
    """Make ``${fresh_folder:…}`` and ``${join:…}`` known to OmegaConf.

    Two runs started within one second must not share a folder: the folder is claimed by making it.
    """
    OmegaConf.register_new_resolver("fresh_folder", fresh_folder, replace=True)
    OmegaConf.register_new_resolver("join", lambda names: "+".join(names), replace=True)
