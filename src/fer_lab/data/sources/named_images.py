"""Images whose file names say whom and what they show, wherever below a folder they lie."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from fer_lab.data.sources.folders import IMAGE_SUFFIXES
from fer_lab.data.sources.layout import base_names, say_closed, set_aside

OTHER_NAME = "file name of another form"
SAME_NAME = "the same file name twice, kept once"

_log = logging.getLogger(__name__)


def files_below(
    folder: Path,
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
    closed: Callable[[OSError], None] = say_closed,
) -> list[str]:
    """Files at any depth, relative to ``folder``, in the order of their paths.

    Hidden files and folders are left out; a folder is listed once, however many links lead to it.

    Args:
        folder: where to look; without it there are none.
        suffixes: how the wanted files end, in lower case.
        closed: given the error of each folder that cannot be listed; by default it warns.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    start = len(os.path.join(folder, ""))  # noqa: PTH118 (a Path drops the separator)
    for parent, folders, files in os.walk(folder, onerror=closed, followlinks=True):
        status = os.stat(parent)  # noqa: PTH116 (os.walk gives text)
        here = (status.st_dev, status.st_ino)
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inner = parent[start:].replace(os.sep, "/")
        prefix = f"{inner}/" if inner else ""
        found.extend(
            prefix + name
            for name in files
            if name.lower().endswith(tuple(suffixes)) and not name.startswith(".")
        )
    return sorted(found)


def named_images(folder: Path, pattern: str) -> pd.DataFrame:
    """List the images below a folder with what their names say.

    Args:
        folder: where to look.
        pattern: of the whole name without its suffix, in upper case; its named groups become
            columns.

    Returns:
        One row an image, indexed by its path relative to ``folder``: ``image`` (that path),
        ``name`` (without folder and suffix, in upper case), the groups, and the ``reason`` to
        set it aside or the empty text. Groups are empty where the name has another form.
    """
    images = pd.Series(files_below(folder), dtype="str")
    names = base_names(images).str.replace(r"\.[^.]*$", "", regex=True).str.upper()
    words = names.str.extract(f"^{pattern}$").fillna("").astype("str")
    table = pd.concat([images.rename("image"), names.rename("name"), words], axis=1)
    table["reason"] = pd.Series("", table.index, dtype="str")
    other = (words == "").all(axis=1).to_numpy(dtype=bool)
    for image in images[other][:3]:
        _log.warning("%s: %s", OTHER_NAME, folder / image)
    set_aside(table, other, OTHER_NAME)
    set_aside(table, names.duplicated().to_numpy(), SAME_NAME)
    return table.set_index("image", drop=False)
