from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fer_lab.data.vocabulary import REGIONS
from fer_lab.report.prototype import HEIGHT, WIDTH, draw_prototype, prototype_figure


def face(values, limits=(0.0, 1.0)):
    """The drawing without labels, [HEIGHT, WIDTH, 3], a pixel per unit."""
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    draw_prototype(figure.add_axes((0, 0, 1, 1)), values, limits=limits, labels=False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


@pytest.fixture(scope="module")
def plain():
    return face(dict.fromkeys(REGIONS, 0.0))


def changed(plain, region, value=1.0):
    return np.abs(face({**dict.fromkeys(REGIONS, 0.0), region: value}) - plain).sum(-1) > 60


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_has_an_area_of_its_own_that_turns_red(plain, region):
    where = changed(plain, region)
    assert where.sum() > 60
    red, _, blue = face({**dict.fromkeys(REGIONS, 0.0), region: 1.0})[where].mean(0)
    assert red > blue


@pytest.mark.parametrize(("left", "right"), [("l_eye", "r_eye"), ("l_ear", "r_ear")])
def test_left_is_the_images_left_and_mirrors_the_right(plain, left, right):
    one, other = changed(plain, left), changed(plain, right)
    assert np.nonzero(one)[1].max() < WIDTH / 2 < np.nonzero(other)[1].min()
    assert (one[:, ::-1] != other).sum() < 0.2 * one.sum()


def test_low_values_are_blue(plain):
    red, _, blue = plain[5, 5]
    assert blue > red + 50


@pytest.mark.parametrize("absent", [None, float("nan")])
def test_an_absent_region_is_grey_and_hatched(absent):
    values = dict.fromkeys(REGIONS, 0.5) | {"hat": absent}
    pixels = face(values)[30:60, 60:140].reshape(-1, 3)
    grey = np.ptp(pixels, axis=1) < 30
    assert grey.mean() > 0.95
    assert len(np.unique(pixels, axis=0)) > 1


def test_a_region_that_is_not_named_is_absent_too():
    assert np.array_equal(face({"nose": 0.5}), face(dict.fromkeys(REGIONS) | {"nose": 0.5}))


def test_the_scale_runs_from_the_smallest_value_to_the_largest():
    figure = Figure()
    scale = draw_prototype(figure.add_subplot(), {"nose": 0.2, "hair": 0.6, "hat": None})
    assert scale.get_clim() == (0.2, 0.6)


@pytest.mark.parametrize("values", [{}, {"nose": 0.3}, dict.fromkeys(REGIONS, 0.25)])
def test_a_scale_without_extent_is_drawn(values):
    figure = prototype_figure(values, title="a face")
    FigureCanvasAgg(figure).draw()


def test_every_region_is_labelled_with_its_value():
    values = {region: i / 100 for i, region in enumerate(REGIONS)}
    figure = prototype_figure(values | {"neck_l": None}, title="a face")
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert len(shown) == 19
    assert "nose  0.02" in shown
    assert "necklace  –" in shown
    heights = sorted(
        text.get_position()[1] for text in figure.axes[0].texts if text.get_ha() == "left"
    )
    assert min(np.diff(heights)) >= 12
