"""Images whose folder says what they show: one folder a split, in it one a class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fer_lab.data.sources.layout import file_names, folder_names

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def class_folders(root: Path, splits: Mapping[str, str]) -> pd.DataFrame:
    """List the images of ``root/<split folder>/<class folder>/``, in the order of their names.

    Args:
        root: the folder that holds the splits.
        splits: the split of each split folder; one that is not there has no images.

    Returns:
        One row an image: ``image`` (relative to ``root``), ``file`` (its name), ``folder`` (of
        its class), ``place`` (that folder, relative to ``root``) and ``split``. Hidden folders
        and files that are no images are left out.
    """
    tables = [
        pd.DataFrame({"file": sorted(file_names(parent / name))}, dtype="str").assign(
            parent=part, folder=name, split=split
        )
        for part, split in splits.items()
        for parent in [root / part]
        for name in folder_names(parent)
    ]
    empty = pd.DataFrame(columns=["file", "parent", "folder", "split"], dtype="str")
    table = pd.concat([empty, *tables], ignore_index=True)
    is_image = table["file"].str.lower().str.endswith(IMAGE_SUFFIXES)
    table = table[is_image & ~table["file"].str.startswith(".")].reset_index(drop=True)
    table["place"] = table["parent"] + "/" + table["folder"]
    table["image"] = table["place"] + "/" + table["file"]
    return table[["image", "file", "folder", "place", "split"]]
