"""CelebAMask-HQ: faces of CelebA at 1024², with hand-drawn masks of 18 face regions.

Features: regions (``vocabulary.REGIONS``), CelebA's 40 attributes and gender. Classes: none of
expression; a model learns an attribute by name (``target=gender``). Splits: CelebA's partition by
way of the mapping file (24,183 training, 2,993 validation and 2,824 test images); without
CelebA's list everything is the test set.

Citation: Lee, Liu, Wu, Luo, "MaskGAN: Towards Diverse and Interactive Facial Image
Manipulation", CVPR 2020.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lab.data.assets import Assets
from fer_lab.data.schema import NO_SOURCE
from fer_lab.data.sources import celeba
from fer_lab.data.sources.layout import (
    file_names,
    find_root,
    folder_advice,
    not_its_layout,
    refuse_codes,
)
from fer_lab.data.vocabulary import REGION_TITLES, REGIONS, UNKNOWN
from fer_lab.errors import DataError

NAME = "celebamask_hq"
TITLE = "CelebAMask-HQ"

IMAGES = "CelebA-HQ-img"
MASKS = "CelebAMask-HQ-mask-anno"
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
ATTRIBUTES = "CelebAMask-HQ-attribute-anno.txt"
EXPECTED = (
    f"{IMAGES}/N.jpg and {MASKS}/<N // 2000>/<N in five digits>_<region>.png; beside them, if"
    f" there are any, {ATTRIBUTES} and {MAPPING}"
)

IMAGES_PER_FOLDER = 2000

_log = logging.getLogger(__name__)


def read(
    root: str | os.PathLike[str] | None, *, celeba_root: str | os.PathLike[str] | None = None
) -> pd.DataFrame:
    """Read CelebAMask-HQ.

    ``mask_path`` names the masks of a face's regions together, as :mod:`~fer_lab.data.pixels.masks`
    reads them; a face whose masks cannot be used is kept without. Attributes come from the
    release's own list or, by way of the mapping file, from CelebA's; the partition and identities
    from CelebA's. ``label`` is ``unknown``.

    Args:
        root: folder of the release (``EXPECTED`` says what is in it).
        celeba_root: CelebA's folder with ``list_attr_celeba.txt`` and
            ``list_eval_partition.txt``; ``root`` where it is not given.

    Returns:
        The manifest.

    Raises:
        DataError: for a missing folder, a mask of an unknown region, a malformed list, or when
            no image is left.
    """
    folder = find_root(root, TITLE, EXPECTED)
    missing = [name for name in (IMAGES, MASKS) if not (folder / name).is_dir()]
    if missing:
        raise not_its_layout(TITLE, missing, folder, EXPECTED)
    kept = _images(folder / IMAGES)
    if kept.empty or not _has_masks(folder / MASKS):
        raise DataError(
            f"none of CelebAMask-HQ's {len(kept)} images has region masks",
            where=folder / MASKS,
            hint=folder_advice(EXPECTED),
        )
    frame = pd.DataFrame(
        {
            "id": f"{NAME}/" + kept["image"],
            "dataset": pd.Categorical([NAME] * len(kept)),
            "path": f"{folder / IMAGES}{os.sep}" + kept["image"],
            "mask_path": [mask_path(folder / MASKS, int(number)) for number in kept["number"]],
            "label": UNKNOWN,
            **_annotations(kept, folder, folder if celeba_root is None else Path(celeba_root)),
        }
    )
    frame.attrs["assets"] = Assets(roots={NAME: str(folder)})
    return frame


def mask_path(masks: str | os.PathLike[str], number: int, region: str = "*") -> str:
    """Where the mask of a region of an image lies; by default of all regions together."""
    place = f"{number // IMAGES_PER_FOLDER}{os.sep}{number:05d}_{region}.png"
    return f"{os.fspath(masks)}{os.sep}{place}"


def _annotations(kept: pd.DataFrame, folder: Path, lists: Path) -> dict[str, pd.Series]:
    """Split, subject and attributes of the images, as far as there are lists that give them."""
    lists = lists.expanduser()
    parts: list[pd.DataFrame] = []
    if (folder / ATTRIBUTES).is_file():
        own = celeba.read_attributes(folder / ATTRIBUTES)
        own = own[own["reason"] == ""].set_index("image").drop(columns="reason")
        parts.append(own.reindex(kept["image"]).reset_index(drop=True))
    partition = celeba.find_in(lists, celeba.PARTITION)
    if (folder / MAPPING).is_file() and partition is not None:
        mapping = celeba.read_mapping(folder / MAPPING).drop_duplicates("number")
        files = kept["number"].map(mapping.set_index("number")["file"])
        of_celeba = celeba.read_annotations(lists)
        of_celeba = of_celeba[of_celeba["reason"] == ""].set_index("image").drop(columns="reason")
        parts.append(of_celeba.reindex(files).reset_index(drop=True))
    else:
        _log.warning(
            "%s and CelebA's %s are not both there: every face of CelebAMask-HQ is a test face",
            folder / MAPPING,
            celeba.PARTITION,
        )
    columns: dict[str, pd.Series] = {"split": pd.Series("", kept.index, dtype="str")}
    for part in reversed(parts):
        columns |= {str(name): column for name, column in part.items()}
    # A face that the partition does not name is examined, never learnt from.
    columns["split"] = columns["split"].fillna("").replace("", "test")
    if "gender_source" in columns:
        columns["gender_source"] = columns["gender_source"].fillna(NO_SOURCE)
    return columns


def _images(folder: Path) -> pd.DataFrame:
    """Name and number, as text, of every image, in their order."""
    names = pd.Series(file_names(folder), dtype="str")
    table = pd.DataFrame({"image": names, "number": names.str.extract(r"^(\d+)\.jpg$")[0]})
    table = table.dropna(ignore_index=True)
    order = np.lexsort([table["image"], table["number"].astype("int64")])
    return table.iloc[order].reset_index(drop=True)


def _has_masks(folder: Path) -> bool:
    """Whether there are region masks.

    Raises:
        DataError: for one of an unknown region.
    """
    codes = {name: REGION_TITLES[name] for name in REGIONS[1:]}
    found = False
    for below in sorted(path for path in folder.iterdir() if path.is_dir()):
        names = pd.Series(file_names(below), dtype="str")
        regions = names.str.extract(r"^\d{5}_(.+)\.png$")[0].set_axis(f"{below.name}/" + names)
        refuse_codes(regions.dropna(), codes, name="a region", place=f"{folder}{os.sep}")
        found |= bool(regions.notna().any())
    return found
