"""Where shapes become pixels: a picture, its region mask and a soft shading map at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fer_lab.data.pixels.opencv import opencv
from fer_lab.data.synthetic.curves import Points, like
from fer_lab.data.synthetic.palette import Colour
from fer_lab.data.vocabulary import REGIONS

_SHIFT = 4  # OpenCV's fixed-point coordinates: sixteenths of a pixel
_SHADING_SIZE = 96
_NEUTRAL = 128  # a shading value that changes nothing
_SUPERSAMPLED_TO = 160  # larger pictures are smooth enough by anti-aliasing alone
_ANTI_ALIASED = 16  # cv2.LINE_AA
_CODES = {name: code for code, name in enumerate(REGIONS)}

Pixels = NDArray[np.uint8]


class Canvas:
    """Fills and strokes named shapes on a picture and, without anti-aliasing, on its mask.

    Args:
        shapes: by name, in pixels of the final picture (whole numbers are pixel centres).
        size: height and width of the final picture.
        unit: pixels of one face unit.
        background: RGB picture of any size, stretched to fill.
    """

    def __init__(
        self, shapes: Mapping[str, Points], size: int, unit: float, background: Pixels
    ) -> None:
        self._cv2 = opencv()
        self._factor = 2 if size <= _SUPERSAMPLED_TO else 1
        self._size, self._unit = size, unit
        wide = size * self._factor
        self.image: Pixels = self._cv2.resize(
            background, (wide, wide), interpolation=self._cv2.INTER_CUBIC
        )
        self.mask: Pixels = np.zeros((size, size), np.uint8)
        self._shading: Pixels = np.empty((0, 0, 3), np.uint8)
        self._ground, self._contrast = (_NEUTRAL,) * 3, 1.0
        together = np.concatenate(list(shapes.values()))
        self._on_image, self._on_mask, self._on_shading = (
            like(shapes, _fixed(together, factor))
            for factor in (self._factor, 1.0, _SHADING_SIZE / size)
        )

    def fill(self, name: str, colour: Colour | None, region: str | None = None) -> None:
        """Fill a shape; without a colour on the mask only, without a region on the picture only."""
        if colour is not None:
            self._cv2.fillPoly(
                self.image, [self._on_image[name]], colour, _ANTI_ALIASED, shift=_SHIFT
            )
        if region is not None:
            self._cv2.fillPoly(self.mask, [self._on_mask[name]], _CODES[region], shift=_SHIFT)

    def stroke(
        self,
        name: str,
        colour: Colour,
        width: float,
        region: str | None = None,
        *,
        closed: bool = False,
        parts: int = 1,
    ) -> None:
        """Draw a shape's line, ``width`` in face units and at least one pixel.

        Args:
            name: the shape.
            colour: RGB.
            width: in face units.
            region: drawn on the mask too.
            closed: whether the last point is joined to the first.
            parts: the shape holds this many lines of equal length, one after the other.
        """
        pixels = max(1, round(width * self._unit * self._factor))
        points = self._on_image[name]
        lines = [points] if parts == 1 else np.split(points, parts)
        self._cv2.polylines(self.image, lines, closed, colour, pixels, _ANTI_ALIASED, shift=_SHIFT)
        if region is not None:
            pixels = max(1, round(width * self._unit))
            self._cv2.polylines(
                self.mask, [self._on_mask[name]], closed, _CODES[region], pixels, 8, shift=_SHIFT
            )

    def shade(self, name: str, value: Colour) -> None:
        """Fill a shape on the shading map; 128 leaves a colour as it is, 64 halves it."""
        shown = self._shown(value)
        self._cv2.fillPoly(self._shading, [self._on_shading[name]], shown, shift=_SHIFT)

    def shade_line(self, name: str, value: Colour, width: float) -> None:
        """Draw a line on the shading map, ``width`` in face units."""
        pixels = max(1, round(width * self._unit * _SHADING_SIZE / self._size))
        self._cv2.polylines(
            self._shading, [self._on_shading[name]], False, self._shown(value), pixels, shift=_SHIFT
        )

    def crease(self, name: str, strength: float, depth: float, width: float) -> None:
        """Darken along a line, once the shading map is softened.

        Args:
            name: the shape.
            strength: in [0, 1.3]; the faintest are left out.
            depth: share of the light that a line of strength 1 takes away.
            width: in face units.
        """
        if strength < 0.04:
            return
        pixels = max(1, round(width * self._unit * self._factor))
        value = int(_NEUTRAL * (1 - depth * min(strength, 1.3)))
        self._cv2.polylines(
            self._shading,
            [self._on_image[name]],
            False,
            (min(value + 5, 255), value, value),
            pixels,
            _ANTI_ALIASED,
            shift=_SHIFT,
        )

    def soften(self, sigma: float) -> None:
        """Blur the shading map (``sigma`` in face units) and bring it to the picture's size."""
        blurred = self._cv2.GaussianBlur(
            self._shading, (0, 0), sigma * self._unit * _SHADING_SIZE / self._size
        )
        wide = self._size * self._factor
        self._shading = self._cv2.resize(
            blurred, (wide, wide), interpolation=self._cv2.INTER_LINEAR
        )

    def soften_creases(self) -> None:
        """Take the hardness off the lines drawn since the map was softened."""
        self._shading = self._cv2.GaussianBlur(
            self._shading, (0, 0), max(0.5, 0.008 * self._unit * self._factor)
        )

    def start_shading(self, value: Colour, contrast: float = 1.0) -> None:
        """Begin a shading map that has this value everywhere.

        Args:
            value: 128 leaves a colour as it is.
            contrast: factor on the distance from ``value`` of every value shaded afterwards.
        """
        self._ground, self._contrast = value, contrast
        self._shading = np.full((_SHADING_SIZE, _SHADING_SIZE, 3), value, np.uint8)

    def _shown(self, value: Colour) -> Colour:
        red, green, blue = (
            min(max(round(ground + self._contrast * (each - ground)), 0), 255)
            for each, ground in zip(value, self._ground, strict=True)
        )
        return red, green, blue

    def apply_shading(self) -> None:
        """Multiply what is painted so far by the shading map."""
        self._cv2.multiply(self.image, self._shading, self.image, 1 / _NEUTRAL)

    def picture(self) -> Pixels:
        """The picture at its final size, RGB uint8 ``[size, size, 3]``."""
        if self._factor == 1:
            return self.image
        reduced: Pixels = self._cv2.resize(
            self.image, (self._size, self._size), interpolation=self._cv2.INTER_AREA
        )
        return reduced


def _fixed(points: Points, factor: float) -> NDArray[np.int32]:
    """Fixed-point coordinates on a grid ``factor`` times as fine, pixel centres kept."""
    scaled = ((points + 0.5) * factor - 0.5) * (1 << _SHIFT)
    fixed: NDArray[np.int32] = np.rint(scaled).astype(np.int32)
    return fixed
