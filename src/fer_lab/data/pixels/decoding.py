"""One image file to pixels: which formats, which way up, and why a file cannot be used.

Everything that opens an image file does it here, with one decoder (Pillow's, which notices files
cut short) and one rule: an image is turned as its EXIF orientation says, in every format.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fer_lab.errors import DataError

FORMATS: Final = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
# A photograph of more pixels is not one of a face; the header tells before anything is decoded.
MAX_PIXELS: Final = 80_000_000

MISSING: Final = "file missing"
CANNOT_OPEN: Final = "file cannot be opened"
EMPTY: Final = "empty file"
TRUNCATED: Final = "truncated image"
DAMAGED: Final = "damaged image"
NO_IMAGE: Final = "not an image"
TOO_LARGE: Final = f"more than {MAX_PIXELS // 1_000_000} megapixels"
OTHER_DEPTH: Final = "neither 8 nor 16 bits a channel"

# The packed cache stores places in this tuple: new reasons go to its end.
REASONS: Final = (
    *("", MISSING, CANNOT_OPEN, EMPTY, TRUNCATED, DAMAGED, NO_IMAGE, TOO_LARGE),
    OTHER_DEPTH,
)

_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS: Final = (5, 6, 7, 8)


class Finding(NamedTuple):
    """What opening a file gave.

    Attributes:
        width: of the upright image, in pixels; 0 where it is not known.
        height: likewise.
        reason: why it cannot be used, one of ``REASONS``; empty for a good image.
    """

    width: int
    height: int
    reason: str


def decode(path: str, content: bytes | None = None) -> NDArray[np.uint8]:
    """Read an image file as RGB, uint8 ``[H, W, 3]``, upright.

    Args:
        path: the file.
        content: its bytes, where they have been read or lie elsewhere.

    Raises:
        DataError: when the file cannot be used, with the reason.
    """
    image, finding = attempt(path, content)
    if image is None:
        raise DataError(
            f"an image cannot be used: {finding.reason}",
            where=path,
            hint="it was there when the dataset was read; bring it back or start anew without it"
            if finding.reason == MISSING
            else "with verify=true such files are set aside before training",
        )
    return image


def attempt(path: str, content: bytes | None = None) -> tuple[NDArray[np.uint8] | None, Finding]:
    """Read an image file as :func:`decode` does; None where it cannot be used, and why."""
    return _open(path, content, pixels=True)


def look(path: str) -> Finding:
    """Whether a file can be used; a JPEG at an eighth of its size, which still reads all of it."""
    return _open(path, pixels=False)[1]


def upright(image: Image.Image) -> Image.Image:
    """A loaded image, turned as its EXIF orientation says."""
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def upper_bits(image: Image.Image) -> NDArray[np.uint8]:
    """A grey image of 16 bits as 8 bits, ``[H, W]``; Pillow would cut off what is above 255."""
    return (np.asarray(image) >> 8).astype(np.uint8)


def _open(
    path: str, content: bytes | None = None, *, pixels: bool
) -> tuple[NDArray[np.uint8] | None, Finding]:
    width = height = 0
    try:
        with Image.open(path if content is None else BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return None, Finding(width, height, TOO_LARGE)
            if image.mode in ("I", "F"):
                return None, Finding(width, height, OTHER_DEPTH)
            eighth = (
                None if pixels else image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
            )
            image.load()
            if eighth is None:
                # TIFFs are turned while they are loaded, and have no orientation after.
                width, height = image.size
            if _orientation(image) in _QUARTER_TURNS:
                width, height = height, width
            return _rgb(upright(image)) if pixels else None, Finding(width, height, "")
    except UnidentifiedImageError:
        is_empty = content == b"" if content is not None else Path(path).stat().st_size == 0
        return None, Finding(0, 0, EMPTY if is_empty else NO_IMAGE)
    except Image.DecompressionBombError:
        return None, Finding(width, height, TOO_LARGE)
    except OSError as error:
        if error.errno is not None:
            there = os.path.exists(path)  # noqa: PTH110 (Path.exists raises for some paths)
            return None, Finding(0, 0, CANNOT_OPEN if there else MISSING)
        reason = TRUNCATED if "truncated" in str(error).lower() else DAMAGED
        return None, Finding(width, height, reason)
    except Exception:  # decoders of damaged files raise whatever the damage leads them into
        return None, Finding(width, height, DAMAGED)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation of a loaded image, 1 to 8."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # an EXIF block in disorder turns nothing
        return 1


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a loaded image; what is transparent keeps its colour."""
    if image.mode.startswith("I;16"):
        return np.repeat(upper_bits(image)[:, :, None], 3, axis=2)
    if image.mode == "P":
        # Pillow warns when a palette's transparency is dropped at once.
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)
