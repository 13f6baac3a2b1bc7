from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fer_lab.data.synthetic import SyntheticReader
from fer_lab.data.synthetic.anatomy import UNITS, action_units, traits, unit_draws
from fer_lab.data.synthetic.curves import mirrored, smooth
from fer_lab.data.synthetic.draws import uniform
from fer_lab.data.synthetic.render import face_shapes
from fer_lab.data.vocabulary import EXPRESSIONS, LANDMARK_FLIP

# EMFACS combinations, written down again; beside them what may go along in some faces.
CORE = {
    "neutral": set(),
    "happy": {6, 12},
    "sad": {1, 4, 15},
    "surprise": {1, 2, 5, 26},
    "fear": {1, 2, 4, 5, 7, 20, 26},
    "disgust": {9, 15, 16},
    "anger": {4, 5, 7, 23},
    "contempt": {12, 14},
}
SOMETIMES = {"happy": {25}, "sad": {17}, "fear": {25}, "disgust": {17}, "anger": {24}}


def activation(expression, intensity, count=400):
    draws = uniform(1, np.arange(count), unit_draws())
    codes = np.full(count, EXPRESSIONS.index(expression))
    return action_units(codes, np.full(count, intensity), draws)


@pytest.fixture(scope="module")
def faces():
    reader = SyntheticReader(classes=8, population="fair")
    return [reader.face(f"synthetic#{number}") for number in range(60)]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_expression_shows_its_action_units(expression):
    shown = activation(expression, 1.0).max(axis=2) > 0
    always = {unit for unit, present in zip(UNITS, shown.all(axis=0), strict=True) if present}
    ever = {unit for unit, present in zip(UNITS, shown.any(axis=0), strict=True) if present}
    assert always == CORE[expression]
    assert ever == CORE[expression] | SOMETIMES.get(expression, set())


def test_activation_grows_with_intensity_and_stays_in_its_range():
    weak, strong = activation("fear", 0.4), activation("fear", 1.0)
    assert (strong >= weak).all()
    assert strong.max() <= 1
    unclipped = (strong < 1) & (strong > 0)
    assert weak[unclipped] / strong[unclipped] == pytest.approx(0.4)


def test_action_units_vary_between_faces_and_a_little_between_the_sides():
    happy = activation("happy", 0.7)[:, UNITS.index(12)]
    assert 0.05 < happy.mean(axis=1).std() / happy.mean() < 0.2
    sides = np.abs(happy[:, 0] - happy[:, 1]) / happy.mean(axis=1)
    assert 0 < sides.mean() < sides.max() < 0.13


def test_contempt_is_on_one_side_only():
    both = activation("contempt", 0.8)[:, [UNITS.index(12), UNITS.index(14)]]
    left = both[:, :, 0].max(axis=1) > 0
    assert (both.min(axis=2) == 0).all()
    assert (both.max(axis=2) > 0).all()
    assert 0.4 < left.mean() < 0.6


def test_table_and_face_agree_on_the_action_units(faces):
    for number, face in enumerate(faces[:10]):
        draws = uniform(1, np.array([number]), unit_draws())
        code = np.array([EXPRESSIONS.index(face.expression)])
        both = action_units(code, np.array([face.intensity]), draws)[0]
        assert face.action_units() == dict(zip(UNITS, map(tuple, both.tolist()), strict=True))


def shapes_of(face, expression, intensity=1.0):
    shown = replace(face, expression=expression, intensity=intensity)
    return face_shapes(shown, traits(shown), shown.action_units())["landmarks"]


def test_expressions_move_the_landmarks_as_their_units_say(faces):
    for face in faces[:12]:
        calm = shapes_of(face, "neutral", 0.0)
        happy, sad = shapes_of(face, "happy"), shapes_of(face, "sad")
        surprise, anger = shapes_of(face, "surprise"), shapes_of(face, "anger")
        corners, inner_brows, upper_lids = [48, 54], [21, 22], [37, 38, 43, 44]
        assert (happy[corners, 1] < calm[corners, 1]).all()  # y points down
        assert happy[54, 0] - happy[48, 0] > calm[54, 0] - calm[48, 0]
        assert (sad[corners, 1] > calm[corners, 1]).all()
        assert (sad[inner_brows, 1] < calm[inner_brows, 1]).all()
        assert (anger[inner_brows, 1] > calm[inner_brows, 1]).all()
        assert (surprise[upper_lids, 1] < calm[upper_lids, 1]).all()
        assert surprise[66, 1] - surprise[62, 1] > 0.2
        assert surprise[8, 1] > calm[8, 1] + 0.05


def test_neutral_landmarks_are_in_the_common_order_and_symmetrical(faces):
    for face in faces:
        points = shapes_of(face, "neutral", 0.0)
        assert points.shape == (68, 2)
        assert (points * (-1, 1))[list(LANDMARK_FLIP)] == pytest.approx(points, abs=1e-9)
        assert (np.diff(points[2:15, 0]) > 0).all()  # jaw from the image's left to its right
        assert points[8, 1] == points[:17, 1].max()
        assert (np.diff(points[17:27, 0]) > 0).all()
        assert (np.diff(points[27:31, 1]) > 0).all()
        assert (points[[37, 38], 1] < points[[41, 40], 1]).all()
        assert points[17:27, 1].max() < points[36:48, 1].min() < points[33, 1] < points[51, 1]
        assert points[51, 1] < points[57, 1] < points[8, 1]


def test_traits_differ_between_groups_in_the_mean_and_overlap(faces):
    women = np.array([traits(replace(f, gender="female", age_years=30)).jaw for f in faces])
    men = np.array([traits(replace(f, gender="male", age_years=30)).jaw for f in faces])
    assert men.mean() > women.mean()
    assert women.max() > men.min()
    child, adult = (traits(replace(faces[0], age_years=years)) for years in (5, 30))
    assert child.eye_size / child.width > adult.eye_size / adult.width
    assert child.eye_y > adult.eye_y


def test_smooth_curve_passes_through_its_points():
    points = np.array([(0.0, 1), (1, 0), (0, -1), (-2, 0)])
    assert smooth(points, closed=True, per=5)[::5] == pytest.approx(points)
    assert smooth(points, per=3)[::3] == pytest.approx(points)


def test_mirrored_outline_is_symmetrical():
    outline = mirrored([(0, -1), (1, 0), (2, 1), (0, 2)])
    assert {tuple(point) for point in outline} == {tuple(point) for point in outline * (-1, 1)}
    assert len(outline) == 6
