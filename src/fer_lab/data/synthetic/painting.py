"""From back to front: what is painted over what, in which colour and as which region."""

from __future__ import annotations

from collections.abc import Mapping

from fer_lab.data.synthetic.anatomy import Face, Traits
from fer_lab.data.synthetic.canvas import Canvas
from fer_lab.data.synthetic.curves import Points
from fer_lab.data.synthetic.hair import STRAND_COUNT
from fer_lab.data.synthetic.palette import Palette, luminance, mix, scaled

Units = Mapping[int, tuple[float, float]]

_SIDES = ("l", "r")
# Shading takes a share of the skin's luminance. On skin of this luminance volumes are shaded as
# written here, on darker skin more strongly, so that they take as much everywhere.
_SHADED = 150
_RIM = (117, 114, 114)


def paint(
    canvas: Canvas,
    face: Face,
    t: Traits,
    units: Units,
    colours: Palette,
    shapes: Mapping[str, Points],
) -> None:
    """Paint one face; every region is filled with the polygon that fills the picture."""
    _body_and_head(canvas, face, colours, shapes)
    _shading(canvas, t, units, colours)
    _beard(canvas, colours, shapes)
    canvas.fill("nose", None, "nose")
    for side in _SIDES:
        canvas.fill(f"nostril_{side}", colours.nostril)
    _mouth(canvas, colours, shapes)
    if face.glasses:
        for side in _SIDES:
            canvas.fill(f"lens_{side}", None, "eye_g")
    for side in _SIDES:
        _eye(canvas, t, colours, side)
        canvas.fill(f"brow_{side}", colours.brow, f"{side}_brow")
    if face.glasses:
        _glasses(canvas, face, colours)
    _hair(canvas, colours)
    if face.hat:
        canvas.fill("hat", colours.hat, "hat")
        canvas.fill("hat_band", colours.hat_band, "hat")
    _outer_shading(canvas, face)
    if face.earrings:
        hoop = 0.3 <= face.draws["earrings_shape"] < 0.65
        for side in _SIDES:
            if hoop:
                canvas.stroke(f"earring_{side}", colours.earring, 0.034, "ear_r", closed=True)
            else:
                canvas.fill(f"earring_{side}", colours.earring, "ear_r")


def _body_and_head(
    canvas: Canvas, face: Face, colours: Palette, shapes: Mapping[str, Points]
) -> None:
    if "hair_back" in shapes:
        canvas.fill("hair_back", mix(colours.hair, colours.hair_dark, 0.6), "hair")
    if "bun" in shapes:
        canvas.fill("bun", colours.hair_dark, "hair")
    canvas.fill("neck", colours.neck, "neck")
    canvas.fill("cloth", colours.cloth, "cloth")
    canvas.stroke("collar", scaled(colours.cloth, 0.8), 0.035)
    if face.necklace:
        beads = face.draws["necklace_shape"] < 0.35
        canvas.stroke("chain", colours.necklace, 0.05 if beads else 0.03, "neck_l")
        if not beads:
            canvas.fill("pendant", colours.necklace, "neck_l")
    for side in _SIDES:
        canvas.fill(f"ear_{side}", colours.ear, f"{side}_ear")
        canvas.stroke(f"inner_ear_{side}", scaled(colours.ear, 0.8), 0.018)
    canvas.fill("head", colours.skin, "skin")


def _shading(canvas: Canvas, t: Traits, units: Units, colours: Palette) -> None:
    """Soft volume of the head, then the lines of age and expression."""
    # The rim of the head has the value of its surroundings, so that no halo surrounds it.
    skin = luminance(colours.skin)
    canvas.start_shading(_RIM, _SHADED / skin)
    canvas.shade("neck_shadow", (98, 92, 92))
    canvas.shade("head", _RIM)
    canvas.shade("head_lit", (131, 131, 131))
    canvas.shade("forehead", (136, 136, 136))
    smile = {side: units[6][place] for place, side in enumerate(_SIDES)}
    for side in _SIDES:
        flush = int(5 + 8 * smile[side] + 4 * t.child)
        canvas.shade(f"cheek_{side}", (135 + flush // 2, 133 - flush // 2, 132 - flush // 2))
        canvas.shade(f"socket_{side}", (119, 114, 114))
    canvas.shade("nose_under", (108, 104, 104))
    canvas.shade("nose_shadow", (116, 112, 112))
    canvas.shade("nose_ridge", (143, 143, 143))
    canvas.shade("nose_tip", (148, 147, 147))
    canvas.shade("under_lip", (108, 104, 104))
    canvas.shade("chin_ball", (137, 136, 136))
    canvas.shade("hair_shadow", (112, 108, 108))
    canvas.soften(0.055)
    _creases(canvas, t, units, 1 - luminance(colours.line) / skin)
    canvas.soften_creases()
    canvas.apply_shading()


def _creases(canvas: Canvas, t: Traits, units: Units, depth: float) -> None:
    raised = max(*units[1], *units[2]) * (1 - 0.5 * t.child)
    canvas.crease("forehead_lines_1", 0.75 * t.elder + 0.75 * raised, depth, 0.018)
    canvas.crease("forehead_lines_2", 0.65 * t.elder + 0.65 * raised, depth, 0.018)
    canvas.crease("forehead_lines_3", 0.5 * t.elder + 0.4 * raised, depth, 0.016)
    for place, side in enumerate(_SIDES):
        unit = {number: pair[place] for number, pair in units.items()}
        fold = 0.1 + 0.55 * t.elder + 0.55 * unit[12] + 0.65 * unit[9] + 0.3 * unit[20]
        lines = (
            ("nasolabial", fold * (1 - 0.5 * t.child), 0.022),
            ("frown", 0.25 * t.elder + 1.1 * unit[4], 0.022),
            ("nose_wrinkle", 1.2 * unit[9], 0.02),
            ("crow", 0.55 * t.elder + 0.65 * unit[6], 0.014),
            ("bag", 0.14 + 0.5 * t.elder + 0.35 * unit[6] + 0.2 * unit[7], 0.018),
            ("marionette", 0.45 * t.elder + 0.7 * unit[15], 0.02),
            ("dimple", 1.0 * unit[14] + 0.2 * unit[12], 0.024),
            ("wing", 0.75, 0.022),
        )
        for name, strength, width in lines:
            canvas.crease(f"{name}_{side}", strength, depth, width)
    canvas.crease("chin_crease", 1.1 * max(units[17]) + 0.15 * t.elder, depth, 0.024)


def _beard(canvas: Canvas, colours: Palette, shapes: Mapping[str, Points]) -> None:
    if "beard" in shapes:
        canvas.fill("beard", colours.beard)
    if "moustache" in shapes:
        canvas.fill("moustache", colours.beard)


def _mouth(canvas: Canvas, colours: Palette, shapes: Mapping[str, Points]) -> None:
    if "opening" in shapes:
        canvas.fill("opening", colours.opening, "mouth")
        canvas.fill("tongue", colours.tongue)
        canvas.fill("teeth", colours.teeth)
    canvas.fill("lower_lip", colours.lip_lower, "l_lip")
    canvas.fill("upper_lip", colours.lip_upper, "u_lip")
    canvas.stroke("lip_shine", colours.lip_shine, 0.016)
    if "opening" in shapes:
        canvas.stroke("opening", colours.lip_line, 0.014, closed=True)
    else:
        canvas.stroke("lip_line", colours.lip_line, 0.014)
    for side in _SIDES:
        canvas.stroke(f"corner_{side}", colours.lip_line, 0.014)


def _eye(canvas: Canvas, t: Traits, colours: Palette, side: str) -> None:
    canvas.fill(f"lid_{side}", colours.lid)
    canvas.fill(f"eye_{side}", colours.sclera, f"{side}_eye")
    canvas.fill(f"iris_{side}", scaled(colours.iris, 0.62))
    canvas.fill(f"iris_core_{side}", mix(colours.iris, (255, 240, 210), 0.1))
    canvas.fill(f"pupil_{side}", (18, 14, 16))
    canvas.fill(f"glint_{side}", (255, 255, 255))
    if t.fold:
        canvas.stroke(f"crease_{side}", colours.lid_line, 0.012)
    canvas.stroke(f"lower_lash_{side}", colours.lid_line, 0.010)
    canvas.stroke(f"lash_{side}", colours.lash, 0.030 - 0.008 * t.male - 0.006 * t.child)
    if t.male < 0.5 and t.child < 0.5:
        canvas.fill(f"lash_wing_{side}", colours.lash)


def _glasses(canvas: Canvas, face: Face, colours: Palette) -> None:
    width = 0.026 + 0.022 * face.draws["glasses_shape"]
    for side in _SIDES:
        canvas.stroke(f"reflex_{side}", (236, 240, 244), 0.012)
        canvas.stroke(f"temple_{side}", colours.frame, width, "eye_g")
        canvas.stroke(f"lens_{side}", colours.frame, width, "eye_g", closed=True)
    canvas.stroke("bridge", colours.frame, width, "eye_g")


def _outer_shading(canvas: Canvas, face: Face) -> None:
    """Volume of hair and hat."""
    canvas.start_shading((128, 128, 128))
    canvas.shade("hair", (122, 121, 121))
    canvas.shade_line("hair_edge", (104, 103, 103), 0.1)
    canvas.shade_line("hair_shine", (164, 163, 160), 0.11)
    if face.hat:
        canvas.shade("hat", (128, 128, 128))
        canvas.shade_line("hat_shine", (160, 160, 160), 0.16)
        canvas.shade_line("hat_edge", (100, 100, 100), 0.12)
    canvas.soften(0.05)
    canvas.apply_shading()


def _hair(canvas: Canvas, colours: Palette) -> None:
    canvas.fill("hair", colours.hair, "hair")
    canvas.stroke("strands", mix(colours.hair, colours.hair_dark, 0.4), 0.012, parts=STRAND_COUNT)
