"""CelebAMask-HQ: faces of CelebA at 1024², with hand-drawn masks of 18 face regions.

Features: regions (``vocabulary.REGIONS``), CelebA's 40 attributes and gender. Classes: none of
expression; a model learns an attribute by name (``target=gender``). Splits: CelebA's partition by
way of the mapping file (24,183 training, 2,993 validation and 2,824 test images); without
CelebA's list everything is the test set.

Citation: Lee, Liu, Wu, Luo, "MaskGAN: Towards Diverse and Interactive Facial Image
Manipulation", CVPR 2020.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.assets import Assets, Sample
from fer_lab.data.images import decode, resize
from fer_lab.data.opencv import opencv
from fer_lab.data.schema import NO_SOURCE
from fer_lab.data.sources import celeba
from fer_lab.data.sources.layout import find_root, refuse_codes, set_aside
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
# Raise it when the same files give other pixels.
_VERSION = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegionReader:
    """Reads an image and puts the masks of its regions into one.

    Where masks overlap, the later name of ``vocabulary.REGIONS`` lies on top, as in the release's
    own tool; what no mask covers is background.

    Attributes:
        masks: folder of the masks.
        content: hash of the files' names and sizes.
    """

    reads_files: ClassVar[bool] = True

    masks: str
    content: str

    def key(self) -> str:
        """A hash of the files and of how they are combined, wherever they lie."""
        return hashlib.sha256(f"{_VERSION} {self.content}".encode()).hexdigest()[:16]

    def read(self, path: str, size: int) -> Sample:
        """An image and its regions, resized.

        Args:
            path: of the image, ``…/N.jpg``.
            size: height and width in pixels.

        Raises:
            DataError: when the image or one of its masks cannot be decoded, naming it.
        """
        regions = self._regions(int(Path(path).stem))
        cv2 = opencv()
        smaller = cv2.resize(regions, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
        return Sample(resize(decode(path), size), np.asarray(smaller, dtype=np.uint8))

    def _regions(self, number: int) -> NDArray[np.uint8]:
        """The masks of an image in one, uint8 ``[H, W]``."""
        cv2 = opencv()
        combined: NDArray[np.uint8] | None = None
        for code, region in enumerate(REGIONS[1:], start=1):
            path = mask_path(self.masks, number, region)
            try:
                content = np.fromfile(path, dtype=np.uint8)
            except FileNotFoundError:
                continue
            mask = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
            if combined is None and mask is not None:
                combined = np.zeros(mask.shape, dtype=np.uint8)
            if mask is None or combined is None or mask.shape != combined.shape:
                raise DataError(
                    "a region mask cannot be decoded"
                    if mask is None
                    else "a region mask has another size than the others of its image",
                    where=path,
                    hint="bring it back from the release, or remove the image it belongs to",
                )
            combined[mask > 0] = code
        if combined is None:
            raise DataError("an image has no region mask", where=f"{self.masks}, image {number}")
        return combined


def read(
    root: str | os.PathLike[str] | None, *, celeba_root: str | os.PathLike[str] | None = None
) -> pd.DataFrame:
    """Read CelebAMask-HQ.

    Images without masks or with an empty one are set aside and counted in ``Assets.dropped``.
    Attributes come from the release's own list or, by way of the mapping file, from CelebA's;
    the partition and identities from CelebA's. ``label`` is ``unknown``.

    Args:
        root: folder of the release (``EXPECTED`` says what is in it).
        celeba_root: CelebA's folder with ``list_attr_celeba.txt`` and
            ``list_eval_partition.txt``; ``root`` where it is not given.

    Returns:
        The manifest; a reader beside it makes the region masks.

    Raises:
        DataError: for a missing folder, a mask of an unknown region, a malformed list, or when
            no image is left.
    """
    folder = find_root(root, TITLE, EXPECTED)
    missing = [name for name in (IMAGES, MASKS) if not (folder / name).is_dir()]
    if missing:
        raise DataError(
            f"this is not CelebAMask-HQ's layout: {' and '.join(missing)} not found",
            where=folder,
            hint=f"set the folder by `dataset.root=…`; expected in it: {EXPECTED}",
        )
    images = _files(folder / IMAGES, r"^(?P<number>\d+)\.jpg$")
    masks = _masks(folder / MASKS)
    table = pd.DataFrame({"image": images["file"], "number": images["number"], "reason": ""})
    table = table.iloc[np.argsort(table["number"].astype("int64"), kind="stable")]
    table = table.reset_index(drop=True)
    numbers = table["number"].astype("int64")
    set_aside(table, ~numbers.isin(masks["number"]).to_numpy(), "no region mask")
    empty = masks["number"][masks["size"] == 0]
    set_aside(table, numbers.isin(empty).to_numpy(), "empty region mask")
    dropped = Counter(reason for reason in table["reason"] if reason)
    kept = table[table["reason"] == ""].drop(columns="reason").reset_index(drop=True)
    if kept.empty:
        raise DataError(
            f"none of CelebAMask-HQ's {len(table)} images has region masks",
            where=folder / MASKS,
            hint=f"set the folder by `dataset.root=…`; expected in it: {EXPECTED}",
        )
    frame = pd.DataFrame(
        {
            "id": f"{NAME}/" + kept["image"],
            "dataset": pd.Categorical([NAME] * len(kept)),
            "path": f"{folder / IMAGES}{os.sep}" + kept["image"],
            "label": UNKNOWN,
            **_annotations(kept, folder, folder if celeba_root is None else Path(celeba_root)),
        }
    )
    reader = RegionReader(str(folder / MASKS), _digest(images, masks))
    frame.attrs["assets"] = Assets(
        readers={NAME: reader}, dropped=dropped, roots={NAME: str(folder)}
    )
    return frame


def mask_path(masks: str | os.PathLike[str], number: int, region: str) -> str:
    """Where the mask of a region of an image lies."""
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


def _masks(folder: Path) -> pd.DataFrame:
    """Number, region, file and size of every mask."""
    parts = []
    for below in sorted(path for path in folder.iterdir() if path.is_dir()):
        part = _files(below, r"^(?P<number>\d{5})_(?P<region>.+)\.png$")
        part["file"] = f"{below.name}/" + part["file"]
        parts.append(part)
    if not parts:
        return pd.DataFrame({"file": [], "size": [], "number": [], "region": []})
    table = pd.concat(parts, ignore_index=True)
    codes = {name: REGION_TITLES[name] for name in REGIONS[1:]}
    refuse_codes(
        table.set_index("file")["region"], codes, name="a region", place=f"{folder}{os.sep}"
    )
    table["number"] = table["number"].astype("int64")
    return table


def _files(folder: Path, pattern: str) -> pd.DataFrame:
    """Name and size of a folder's files with a name of some pattern, and the pattern's groups."""
    with os.scandir(folder) as entries:
        found = [(entry.name, size) for entry in entries if (size := _size(entry)) is not None]
    table = pd.DataFrame(found, columns=["file", "size"]).astype({"file": "str", "size": "int64"})
    groups = table["file"].str.extract(pattern)
    wanted = groups.notna().all(axis=1)
    return table.join(groups)[wanted].sort_values("file", ignore_index=True)


def _size(entry: os.DirEntry[str]) -> int | None:
    """The size of a file in bytes, None for what is no file."""
    try:
        return entry.stat().st_size if entry.is_file() else None
    except OSError:  # a symbolic link that leads to itself
        return None


def _digest(images: pd.DataFrame, masks: pd.DataFrame) -> str:
    """A hash of what files there are and how large."""
    digest = hashlib.sha256()
    for table in (images, masks):
        hashes = pd.util.hash_pandas_object(table[["file", "size"]], index=False)
        digest.update(hashes.to_numpy().tobytes())
    return digest.hexdigest()
