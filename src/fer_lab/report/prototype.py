"""A drawn face of the 19 regions, each coloured by a figure of its own.

The form of the summary in Papadopoulos et al., FaceX: polygons, low values blue, high values red.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from fer_lab.report.drawing import page_figure, small_print
from fer_lab.report.wording import is_number, number, region_title

Points = npt.NDArray[np.float64]
Outline = list[tuple[float, float]]

# The face stands on a canvas 200 wide and 240 high, y downwards, its axis at x = 100; a shape is
# drawn through its points, and `mirrored` gives the other side. Left is the image's left.
WIDTH, HEIGHT = 200, 240
COLORMAP = "RdYlBu_r"
INK = "#2b2f36"
ABSENT = "#d5d8dc"


def _mirrored(outline: Outline) -> Outline:
    return [(WIDTH - x, y) for x, y in outline]


def _both(half: Outline) -> Outline:
    """A symmetric outline from its left half, given from top to bottom."""
    return half + _mirrored(half)[::-1]


_L_EYE: Outline = [(60, 113), (69, 106.5), (78, 106), (88, 114), (78, 118), (69, 118)]
_L_BROW: Outline = [(54, 98), (63, 90.5), (76, 89), (90, 94), (90, 99), (76, 95.5), (64, 96.5)]
_L_EAR: Outline = [(40, 108), (33, 103), (28, 110), (30, 124), (34, 137), (42, 141), (44, 125)]
_EARRING: Outline = [(35, 142), (31, 150), (35, 159), (40, 150)]
_LENS: Outline = [(51, 104), (72, 100.5), (93, 104), (92, 120), (73, 126.5), (55, 121)]
_LENS_HOLE: Outline = [(55, 107), (72, 104.5), (89, 107), (88, 118), (73, 122.5), (58, 118)]

# Points by region in drawing order, back to front; background and glasses have corners.
_OUTLINES: dict[str, list[Outline]] = {
    "hair": [_both([(82, 24), (50, 38), (31, 72), (27, 112), (24, 150), (30, 182), (60, 190)])],
    "neck": [_both([(74, 168), (75, 190), (70, 206), (80, 226)])],
    "cloth": [
        [
            *[(-6, 250), (4, 222), (30, 210), (66, 201), (82, 216), (100, 222)],
            *[(118, 216), (134, 201), (170, 210), (196, 222), (206, 250)],
        ]
    ],
    "neck_l": [
        [
            *[(69, 201), (80, 212), (100, 219), (120, 212), (131, 201), (131, 206.5)],
            *[(121, 218), (106, 225), (100, 233), (94, 225), (79, 218), (69, 206.5)],
        ]
    ],
    "l_ear": [_L_EAR],
    "r_ear": [_mirrored(_L_EAR)],
    "ear_r": [_EARRING, _mirrored(_EARRING)],
    "skin": [_both([(84, 58), (56, 70), (43, 100), (43, 132), (53, 162), (72, 184), (90, 193)])],
    "nose": [_both([(95, 106), (93, 124), (86, 138), (88, 145), (96, 148)])],
    "l_brow": [_L_BROW],
    "r_brow": [_mirrored(_L_BROW)],
    "l_eye": [_L_EYE],
    "r_eye": [_mirrored(_L_EYE)],
    "mouth": [
        [
            *[(77, 164.5), (88, 162), (100, 162), (112, 162), (123, 164.5)],
            *[(113, 170), (100, 172), (87, 170)],
        ]
    ],
    "u_lip": [
        [
            *[(74, 165), (86, 158.5), (95, 155.5), (100, 157.5), (105, 155.5), (114, 158.5)],
            *[(126, 165), (112, 163.2), (100, 163.8), (88, 163.2)],
        ]
    ],
    "l_lip": [
        [
            *[(74, 165), (87, 169), (100, 170.5), (113, 169), (126, 165)],
            *[(116, 176.5), (100, 181), (84, 176.5)],
        ]
    ],
    "hat": [
        [
            *[(22, 72), (40, 60), (46, 30), (72, 10), (100, 6), (128, 10), (154, 30)],
            *[(160, 60), (178, 72), (150, 70), (100, 62), (50, 70)],
        ]
    ],
}
# Where a label's line ends, on the side its label stands; each side is listed from top to bottom.
_ANCHORS: dict[str, tuple[float, float]] = {
    "hat": (62, 40),
    "l_brow": (66, 93),
    "l_eye": (66, 112),
    "eye_g": (53, 119),
    "l_ear": (34, 128),
    "skin": (58, 145),
    "u_lip": (84, 162.5),
    "l_lip": (84, 173.5),
    "neck": (84, 203),
    "cloth": (34, 226),
    "background": (184, 36),
    "hair": (163, 84),
    "r_brow": (134, 93),
    "r_eye": (134, 112),
    "r_ear": (166, 122),
    "nose": (108, 139),
    "ear_r": (165, 152),
    "mouth": (112, 167.7),
    "neck_l": (121, 214),
}
_LEFT = 10


def draw_prototype(
    axes: Axes,
    values: Mapping[str, float | None],
    *,
    limits: tuple[float, float] | None = None,
    labels: bool = True,
) -> ScalarMappable:
    """Draw the face with every region coloured by its value.

    Args:
        axes: emptied of ticks and frame by this.
        values: by region name; a region that is missing, None or NaN is grey and hatched.
        limits: the values that are bluest and reddest; by default the smallest and largest.
        labels: write each region's name and value beside the face.

    Returns:
        The colour scale, for a colour bar.
    """
    present = {region: float(v) for region, v in values.items() if is_number(v)}
    low, high = limits or _limits(present)
    norm = Normalize(low, high)
    scale = ScalarMappable(norm, colormaps[COLORMAP])
    frame = _PATHS["background"][0]
    for region, paths in _PATHS.items():
        seen = region in present
        color = scale.cmap(norm(present[region])) if seen else ABSENT
        for path in paths:
            patch = PathPatch(
                path,
                facecolor=color,
                edgecolor=INK if seen else "#8a9099",
                linewidth=0.0 if region == "background" and seen else 0.8,
                hatch=None if seen else "/////",
                joinstyle="round",
            )
            axes.add_patch(patch)
            patch.set_clip_path(frame, axes.transData)
    _pupils(axes)
    if labels:
        _label(axes, present)
    axes.set(xlim=(-74 if labels else 0, WIDTH + 74 if labels else WIDTH), ylim=(HEIGHT, 0))
    axes.set_aspect("equal")
    axes.set_axis_off()
    return scale


def prototype_figure(
    values: Mapping[str, float | None], *, title: str, measure: str = "IoR", note: str = ""
) -> Figure:
    """The labelled face with its colour bar.

    Args:
        values: by region name.
        title: above the face.
        measure: what the values are, beside the colour bar.
        note: the small print below, such as how far the values can be trusted.
    """
    figure = page_figure(5.0)
    axes = figure.add_subplot()
    scale = draw_prototype(axes, values)
    axes.set_title(title, fontsize=11, loc="left")
    bar = figure.colorbar(scale, ax=axes, shrink=0.75, pad=0.02, aspect=24)
    bar.set_label(measure, fontsize=10)
    bar.ax.tick_params(labelsize=9)
    if note:
        small_print(figure, note)
    return figure


def _limits(values: Mapping[str, float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values.values()), max(values.values())
    # Regions that are all alike are shown as alike, not as the ends of the scale.
    return (low, high) if high - low > 1e-6 else (low - 0.05, high + 0.05)


def _curve(outline: Outline, steps: int = 8) -> Points:
    """A closed Catmull-Rom curve through the points, ``[len × steps, 2]``."""
    points = np.array(outline, dtype=np.float64)
    before, after, beyond = (np.roll(points, shift, axis=0) for shift in (1, -1, -2))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (part[:, None] for part in (before, points, after, beyond))
    curve: Points = 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    return curve.reshape(-1, 2)


def _closed(points: Points) -> Path:
    return Path(np.vstack([points, points[:1]]), closed=True)


def _glasses() -> list[Path]:
    """A bridge and temples, then the frames with open lenses, so that the eyes stay in sight."""
    bars: list[Outline] = [
        [(91.6, 107.5), (108.4, 107.5), (108.4, 111.5), (91.6, 111.5)],
        [(39, 107), (53, 106.5), (53, 110.5), (39, 111)],
        [(161, 107), (161, 111), (147, 110.5), (147, 106.5)],
    ]
    rims = [_curve(_LENS), _curve(_mirrored(_LENS))]
    # Lenses run the other way round, which makes them holes.
    holes = [_curve(_LENS_HOLE)[::-1], _curve(_mirrored(_LENS_HOLE))[::-1]]
    frames = Path.make_compound_path(
        _closed(rims[0]), _closed(holes[0]), _closed(rims[1]), _closed(holes[1])
    )
    return [*(_closed(np.array(bar, dtype=np.float64)) for bar in bars), frames]


def _paths() -> dict[str, list[Path]]:
    """The paths of every region, in drawing order."""
    frame: Outline = [(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)]
    paths = {"background": [_closed(np.array(frame, dtype=np.float64))]}
    paths |= {
        region: [_closed(_curve(outline)) for outline in outlines]
        for region, outlines in _OUTLINES.items()
    }
    return paths | {"eye_g": _glasses()}


_PATHS = _paths()


def _pupils(axes: Axes) -> None:
    """What makes the eyes look like eyes; it belongs to no region's colour."""
    for x in (75.0, WIDTH - 75.0):
        axes.add_patch(PathPatch(Path.circle((x, 111.8), 3.4), facecolor=INK, linewidth=0))


def _label(axes: Axes, values: Mapping[str, float]) -> None:
    for side, regions in ((-1, list(_ANCHORS)[:_LEFT]), (1, list(_ANCHORS)[_LEFT:])):
        x = -8.0 if side < 0 else WIDTH + 8.0
        heights = _apart([_ANCHORS[region][1] for region in regions])
        style: dict[str, Any] = {"fontsize": 8.5, "ha": "right" if side < 0 else "left"}
        for region, y in zip(regions, heights, strict=True):
            text = f"{region_title(region)}  {number(values.get(region), 2)}"
            axes.text(x, y, text, va="center", color=INK, **style)
            end = _ANCHORS[region]
            line: dict[str, Any] = {"color": INK, "linewidth": 0.6}
            axes.plot([x - 2 * side, end[0]], [y, end[1]], **line)
            axes.plot(*end, color=INK, marker="o", markersize=2.2)


def _apart(heights: list[float], gap: float = 13.0) -> list[float]:
    """Heights of labels: near what they name, in its order, and ``gap`` apart."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    for position in range(len(placed) - 1, -1, -1):
        below = placed[position + 1] - gap if position + 1 < len(placed) else HEIGHT - 8.0
        placed[position] = min(placed[position], below)
    return placed
