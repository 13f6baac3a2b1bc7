"""Tiny copies of CelebA and CelebAMask-HQ, with everything that real copies have wrong.

``python -m tests.layouts.celeba FOLDER`` writes ``FOLDER/celeba`` and ``FOLDER/celebamask_hq``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

# fmt: off
NAMES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs",
    "Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows",
    "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones",
    "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin",
    "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair",
    "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace",
    "Wearing_Necktie", "Young",
)
# fmt: on
SPLIT_CODES = {"train": 0, "val": 1, "test": 2}
MASK_SIDE = 512
IMAGE_SIDE = 96

# Left, top, right, bottom of each region in a mask, drawn over one another in this order.
BOXES = {
    "skin": (100, 100, 400, 460),
    "nose": (230, 240, 280, 320),
    "l_eye": (150, 200, 210, 230),
    "r_eye": (300, 200, 360, 230),
    "mouth": (200, 360, 310, 400),
    "u_lip": (200, 350, 310, 370),
    "hair": (100, 20, 400, 130),
}


@dataclass
class Written:
    """What a copy holds.

    Attributes:
        root: its folder.
        values: the ±1 of every attribute, by name of an image that a source keeps.
        splits: by name of an image.
        dropped: how many rows a source sets aside, by reason.
        unreadable: the reason by name, of images that cannot be used.
        without_mask: names of images whose region masks cannot be used.
    """

    root: Path
    values: dict[str, list[int]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    without_mask: list[str] = field(default_factory=list)


def line(image: str, values: list[int]) -> str:
    """A line of an attribute list, with its uneven blanks."""
    return image + " " + " ".join(f"{value:2d}" for value in values)


def write_image(path: Path, male: bool, side: int, rng: np.random.Generator) -> None:
    """Noise over a colour that goes with the gender."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = np.array([60, 90, 190] if male else [200, 80, 70])
    pixels = colour + rng.normal(0, 10, (side, side, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def write_celeba(
    root: Path,
    *,
    train: int = 8,
    val: int = 4,
    test: int = 4,
    odd: bool = True,
    folders: bool = False,
) -> Written:
    """Write CelebA, men and women in turn.

    Args:
        root: its folder, made here.
        train: training images; ``val`` and ``test`` likewise.
        val: validation images.
        test: test images.
        odd: whether to add what real copies have wrong.
        folders: whether lists and images lie in Anno, Eval and Img, as in the download.
    """
    rng = np.random.default_rng(0)
    written = Written(root)
    places = {name: root / name if folders else root for name in ("Anno", "Eval", "Img")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    images = places["Img"] / "img_align_celeba"
    lines, partition, identities = [], [], []
    number = 0
    for split, count in (("train", train), ("val", val), ("test", test)):
        for _ in range(count):
            number += 1
            image = f"{number:06d}.jpg"
            values = [int(value) for value in rng.choice([-1, 1], len(NAMES))]
            values[NAMES.index("Male")] = 1 if number % 2 else -1
            write_image(images / image, number % 2 == 1, IMAGE_SIDE, rng)
            lines.append(line(image, values))
            partition.append(f"{image} {SPLIT_CODES[split]}")
            identities.append(f"{image} {(number + 1) // 2}")
            written.values[image] = values
            written.splits[image] = split
    if odd:
        values = [1] * len(NAMES)
        (images / "900001.jpg").write_bytes(b"\xff\xd8\xff")
        written.values["900001.jpg"], written.splits["900001.jpg"] = values, "train"
        written.unreadable["900001.jpg"] = "not an image"
        write_image(images / "900003.jpg", True, IMAGE_SIDE, rng)
        lines += [
            line("900001.jpg", values),
            line("900002.jpg", values),
            line("900003.jpg", values),
            line("900004.jpg", values[:-1]),
            line("000001.jpg", values),
            line("/etc/hostname", values),
            line("../outside.jpg", values),
        ]
        partition += ["900001.jpg 0", "900002.jpg 0", "900004.jpg 0", "999999.jpg 2"]
        written.dropped = {
            "image missing": 1,
            "no partition": 1,
            "malformed row": 1,
            "listed twice, kept once": 1,
            "path outside the folder of images": 2,
        }
    text = "\n".join([str(len(lines)), " ".join(NAMES) + " ", *lines]) + "\n"
    (places["Anno"] / "list_attr_celeba.txt").write_text(text)
    (places["Anno"] / "identity_CelebA.txt").write_text("\n".join(identities) + "\n")
    (places["Eval"] / "list_eval_partition.txt").write_text("\n".join(partition) + "\n")
    return written


def write_celebamask_hq(
    root: Path, celeba: Written, *, own_list: bool = False, odd: bool = True
) -> Written:
    """Write CelebAMask-HQ over some images of a copy of CelebA, in reversed order.

    Args:
        root: its folder, made here.
        celeba: the copy whose images these are.
        own_list: whether the release's own attribute list is there.
        odd: whether to add what real copies have wrong.
    """
    rng = np.random.default_rng(1)
    written = Written(root)
    names = [name for name in celeba.values if name not in celeba.unreadable][::-1]
    mapping = ["idx             orig_idx        orig_file"]
    lines = []
    # The last image lies in the second folder of masks.
    numbers = [*range(len(names) - 1), 2001]
    for number, name in zip(numbers, names, strict=True):
        image = f"{number}.jpg"
        values = celeba.values[name]
        male = values[NAMES.index("Male")] == 1
        write_image(root / "CelebA-HQ-img" / image, male, 2 * IMAGE_SIDE, rng)
        for region, box in BOXES.items():
            write_mask(root, number, region, box)
        mapping.append(f"{number:<16d}{int(name[:6]) - 1:<16d}{name}")
        lines.append(line(image, values).replace(" ", "  ", 1))
        written.values[image], written.splits[image] = values, celeba.splits[name]
    if odd:
        for number in (3001, 3002, 3003):
            write_image(root / "CelebA-HQ-img" / f"{number}.jpg", True, IMAGE_SIDE, rng)
        write_mask(root, 3002, "skin", BOXES["skin"])
        (root / "CelebAMask-HQ-mask-anno/1/03002_nose.png").write_bytes(b"")
        write_mask(root, 3003, "skin", BOXES["skin"])
        (root / "CelebA-HQ-img/3003.jpg").write_bytes(b"")
        (root / "CelebA-HQ-img/Thumbs.db").write_bytes(b"")
        written.without_mask = ["3001.jpg", "3002.jpg"]
        written.unreadable["3003.jpg"] = "empty file"
        written.splits["3003.jpg"] = "test"
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(mapping) + "\n")
    if own_list:
        text = "\n".join([str(len(lines)), " ".join(NAMES), *lines]) + "\n"
        (root / "CelebAMask-HQ-attribute-anno.txt").write_text(text)
    return written


def write_mask(root: Path, number: int, region: str, box: tuple[int, int, int, int]) -> None:
    """The mask of one region: three channels, 0 and 255, as in the release."""
    path = root / f"CelebAMask-HQ-mask-anno/{number // 2000}/{number:05d}_{region}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((MASK_SIDE, MASK_SIDE, 3), dtype=np.uint8)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = 255
    Image.fromarray(mask).save(path)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    whole = write_celeba(target / "celeba", train=40, val=16, test=16)
    print(whole.root)
    print(write_celebamask_hq(target / "celebamask_hq", whole).root)
