"""An expression changes the picture as much in every group: only a switch makes a bias."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer_lab.data.synthetic import Appearance, SyntheticReader, render
from fer_lab.data.synthetic.people import AGE_YEARS
from fer_lab.data.vocabulary import EXPRESSIONS, GENDERS, RACES, REGIONS

SIZE = 64
SHOWN = [name for name in EXPRESSIONS if name != "neutral"]
SHARP = Appearance.of({"blur": [0, 0], "noise": [0, 0]})
LUMINANCE = np.array((0.299, 0.587, 0.114))
PARTS = {"brows": ("l_brow", "r_brow"), "mouth": ("u_lip", "l_lip", "mouth")}
FACE = ("skin", "nose", "l_eye", "r_eye", "eye_g", *PARTS["brows"], *PARTS["mouth"])


@pytest.fixture(scope="module")
def faces():
    reader = SyntheticReader(classes=8, population="fair", seed=3)
    return [reader.face(f"synthetic#{number}") for number in range(14)]


def covered(samples, names):
    """Where one of the pictures shows one of the regions."""
    codes = [REGIONS.index(name) for name in names]
    return np.any([np.isin(sample.regions, codes) for sample in samples], axis=0)


def squared_change(calm, shown):
    """Of luminance and of colour, a pixel of the face: in all of it, by brows and by mouth."""
    change = shown.image.astype(float) - calm.image
    squared = np.stack(((change @ LUMINANCE) ** 2, (change**2).mean(axis=2)))
    inside = covered((calm, shown), FACE)
    sums = [squared[:, inside].sum(axis=1)]
    for names in PARTS.values():
        near = cv2.dilate(covered((calm, shown), names).astype(np.uint8), np.ones((3, 3), np.uint8))
        sums.append(squared[:, inside & (near > 0)].sum(axis=1))
    return np.array(sums) / inside.sum()


def squared_changes(groups):
    """Shape ``[groups, faces, expressions, parts, 2]``."""
    changes = []
    for face in (face for faces in groups for face in faces):
        calm = render(replace(face, expression="neutral", intensity=0.0), SIZE, SHARP)
        for name in SHOWN:
            shown = render(replace(face, expression=name, intensity=0.7), SIZE, SHARP)
            changes.append(squared_change(calm, shown))
    return np.reshape(changes, (len(groups), -1, len(SHOWN), 1 + len(PARTS), 2))


def largest_distance(changes, axes=(1, 2)):
    """Of a group's root mean square from the mean of all groups, as a share of it."""
    signals = np.sqrt(changes.mean(axis=axes))
    return np.abs(signals / signals.mean(axis=0) - 1).max()


def test_expressions_are_as_readable_in_every_race(faces):
    changes = squared_changes([[replace(face, race=race) for face in faces] for race in RACES])
    assert largest_distance(changes) < 0.05
    whole_face = changes[:, :, :, 0]
    assert largest_distance(whole_face, axes=1) < 0.1  # each expression on its own


@pytest.mark.parametrize("race", ["white", "indian", "black"])
def test_expressions_are_as_readable_on_the_lightest_and_darkest_skin_of_a_race(faces, race):
    groups = [
        [replace(face, race=race, draws={**face.draws, "tone": tone}) for face in faces[:8]]
        for tone in (0.0, 0.999)
    ]
    assert largest_distance(squared_changes(groups)) < 0.05


def test_expressions_are_as_readable_in_both_genders(faces):
    groups = [[replace(face, gender=gender) for face in faces] for gender in GENDERS]
    assert largest_distance(squared_changes(groups)) < 0.08


def test_expressions_are_as_readable_at_every_age(faces):
    groups = [[replace(face, age_years=sum(ends) / 2) for face in faces[:10]] for ends in AGE_YEARS]
    assert largest_distance(squared_changes(groups)) < 0.08
