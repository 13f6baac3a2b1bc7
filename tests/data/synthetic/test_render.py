from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage.draw import polygon2mask
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fer_lab.data.synthetic import Appearance, SyntheticReader, render
from fer_lab.data.synthetic.anatomy import traits
from fer_lab.data.synthetic.population import ACCESSORIES
from fer_lab.data.synthetic.render import face_shapes, placed
from fer_lab.data.vocabulary import EXPRESSIONS, RACES, REGIONS
from fer_lab.errors import ConfigError

CODE = {name: code for code, name in enumerate(REGIONS)}
# The picture as painted: what differs between two of them is what was painted differently.
PAINTED = Appearance.of(
    {"blur": [0, 0], "noise": [0, 0], "light": [1, 1], "light_gradient": [0, 0]}
)
BARE = dict.fromkeys(ACCESSORIES, False)


@pytest.fixture(scope="module")
def faces():
    reader = SyntheticReader(classes=8, population="fair")
    return [reader.face(f"synthetic#{number}") for number in range(150)]


def widened(region, pixels):
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(region.astype(np.uint8), kernel).astype(bool)


def overlap(first, second):
    return (first & second).sum() / (first | second).sum()


@pytest.mark.parametrize("size", [48, 64, 97, 224, 512])
def test_every_size_gives_picture_mask_and_landmarks(faces, size):
    sample = render(faces[0], size)
    assert sample.image.shape == (size, size, 3)
    assert sample.image.dtype == sample.regions.dtype == np.uint8
    assert sample.regions.shape == (size, size)
    assert sample.landmarks.shape == (68, 2)
    assert sample.landmarks.dtype == np.float32
    assert sample.image.flags.c_contiguous


@pytest.mark.parametrize("size", [47, 513, 0])
def test_other_sizes_are_refused(faces, size):
    with pytest.raises(ConfigError, match="cannot be drawn"):
        render(faces[0], size)


def test_sizes_show_the_same_face(faces):
    for face in faces[:5]:
        small, large = render(face, 64, PAINTED), render(face, 256, PAINTED)
        expected = (small.landmarks + 0.5) * 4 - 0.5
        assert large.landmarks == pytest.approx(expected, abs=1e-3)
        reduced = cv2.resize(large.image, (64, 64), interpolation=cv2.INTER_AREA)
        assert np.abs(reduced.astype(int) - small.image).mean() < 3
        assert (large.regions[2::4, 2::4] == small.regions).mean() > 0.94


def test_all_regions_appear_over_a_population(faces):
    seen = np.zeros(19, bool)
    for face in faces:
        seen[np.unique(render(face, 64).regions)] = True
    assert seen.all()


def test_each_accessory_appears_as_its_region(faces):
    region = {"glasses": "eye_g", "hat": "hat", "earrings": "ear_r", "necklace": "neck_l"}
    for face in faces[:60]:
        present = np.isin(np.arange(19), render(face, 96).regions)
        for name, where in region.items():
            if where != "neck_l" or not getattr(face, name):
                assert present[CODE[where]] == getattr(face, name)


def test_features_of_every_face_are_visible(faces):
    needed = [
        "skin",
        "nose",
        "l_eye",
        "r_eye",
        "l_brow",
        "r_brow",
        "u_lip",
        "l_lip",
        "hair",
        "neck",
    ]
    for face in faces[:60]:
        sizes = np.bincount(render(replace(face, **BARE), 96).regions.ravel(), minlength=19)
        assert (sizes[[CODE[name] for name in needed]] >= 8).all()


def test_left_and_right_are_those_of_the_image(faces):
    for face in faces[:20]:
        regions = render(replace(face, **BARE), 96).regions
        for part in ("eye", "brow"):
            left, right = (np.argwhere(regions == CODE[f"{side}_{part}"])[:, 1] for side in "lr")
            assert left.mean() < right.mean()


LANDMARK_REGIONS = [
    (range(17, 22), ("l_brow",)),
    (range(22, 27), ("r_brow",)),
    (range(27, 36), ("nose",)),
    (range(36, 42), ("l_eye",)),
    (range(42, 48), ("r_eye",)),
    (range(48, 68), ("u_lip", "l_lip", "mouth")),
]


def test_landmarks_lie_on_their_regions(faces):
    for face in faces:
        sample = render(replace(face, **BARE), 192)
        hair = sample.regions == CODE["hair"]
        for numbers, names in LANDMARK_REGIONS:
            region = widened(np.isin(sample.regions, [CODE[name] for name in names]) | hair, 2)
            x, y = np.rint(sample.landmarks[list(numbers)]).astype(int).T
            assert region[y, x].all(), (names, face)


def test_jaw_landmarks_lie_on_the_edge_of_the_face(faces):
    for face in faces[:60]:
        sample = render(replace(face, **BARE), 192)
        x, y = np.rint(sample.landmarks[4:13]).astype(int).T
        inside = (x >= 0) & (x < 192) & (y >= 0) & (y < 192)
        head = sample.regions == CODE["skin"]
        edge = widened(head, 2) & widened(~head, 2)
        assert (edge | (sample.regions == CODE["hair"]))[y[inside], x[inside]].all()


@pytest.mark.parametrize(
    ("shape", "region"),
    [("nose", "nose"), ("eye_l", "l_eye"), ("eye_r", "r_eye"), ("hair", "hair")],
)
def test_mask_is_the_polygon_another_library_fills(faces, shape, region):
    for face in faces[:15]:
        face = replace(face, **BARE)
        how = replace(PAINTED, scale=(0.9, 0.9))
        shapes, _ = placed(face_shapes(face, traits(face), face.action_units()), face, 256, how)
        if region == "hair" and ("hair_back" in shapes or "bun" in shapes):
            continue
        expected = polygon2mask((256, 256), shapes[shape][:, ::-1])
        drawn = render(face, 256, how).regions == CODE[region]
        # OpenCV counts the pixels on the outline as inside: one pixel more at the border. Where
        # a wavy outline crosses itself, the two rules differ in single pixels.
        assert (drawn & ~widened(expected, 1)).sum() <= 0.001 * expected.sum()
        assert (expected & ~widened(drawn, 1)).sum() <= 0.001 * expected.sum()


@pytest.mark.parametrize(
    ("accessory", "regions"),
    [
        ("glasses", ["eye_g"]),
        ("hat", ["hat"]),
        ("earrings", ["ear_r"]),
        ("necklace", ["neck_l"]),
        ("lipstick", []),
        ("blond", []),
    ],
)
def test_an_accessory_changes_the_mask_to_its_region_only(faces, accessory, regions):
    for face in faces[:25]:
        without = render(replace(face, **{accessory: False}), 128)
        worn = render(replace(face, **{accessory: True}), 128)
        changed = without.regions != worn.regions
        assert np.isin(worn.regions[changed], [CODE[name] for name in regions]).all()
        assert (without.landmarks == worn.landmarks).all()
        if regions and accessory != "necklace":
            assert changed.any()


@pytest.mark.parametrize(
    ("accessory", "regions", "reach"),
    [
        ("glasses", ["eye_g", "l_eye", "r_eye", "l_brow", "r_brow"], 4),
        ("earrings", ["ear_r"], 4),
        ("necklace", ["neck_l"], 4),
        ("lipstick", ["u_lip", "l_lip", "mouth"], 4),
        ("hat", ["hat"], 40),  # it throws a soft shadow
    ],
)
def test_an_accessory_leaves_distant_pixels_as_they_are(faces, accessory, regions, reach):
    for face in faces[:15]:
        without = render(replace(face, **BARE), 256, PAINTED)
        worn = render(replace(face, **{**BARE, accessory: True}), 256, PAINTED)
        # Hair that covers a temple of the glasses lets a trace of it through at its soft edge.
        changed = np.abs(worn.image.astype(int) - without.image).max(axis=2) > 3
        near = widened(np.isin(worn.regions, [CODE[name] for name in regions]), reach)
        assert not (changed & ~near)[1:-1, 1:-1].any()


@pytest.mark.parametrize("accessory", ["hat", "earrings"])
def test_picture_and_mask_show_an_accessory_at_the_same_pixels(faces, accessory):
    region = {"hat": "hat", "earrings": "ear_r"}[accessory]
    overlaps = []
    for face in faces[:15]:
        without = render(replace(face, **BARE), 384, PAINTED)
        worn = render(replace(face, **{**BARE, accessory: True}), 384, PAINTED)
        painted = np.abs(worn.image.astype(int) - without.image).max(axis=2) > 12
        mask = worn.regions == CODE[region]
        if mask.sum() > 150:
            overlaps.append(overlap(painted, mask))
    assert np.median(overlaps) > 0.85


def test_a_counterfactual_keeps_person_pose_and_light():
    reader = SyntheticReader()
    before = reader.read("synthetic#8", 96)
    same = reader.read_counterfactual("synthetic#8", 96)
    assert (before.image == same.image).all()
    calm = reader.read_counterfactual("synthetic#8", 96, expression="neutral", intensity=0.0)
    border = np.s_[:10, :]
    assert (calm.image[border] == before.image[border]).mean() > 0.9


@pytest.mark.parametrize(
    ("setting", "figure"),
    [
        ({"light": [0.5, 0.5]}, lambda image: -image.mean()),
        ({"blur": [3, 3]}, lambda image: -np.abs(np.diff(image.astype(int), axis=1)).mean()),
        ({"noise": [30, 30]}, lambda image: np.abs(np.diff(image.astype(int), axis=1)).mean()),
        ({"warmth": [1, 1]}, lambda image: image[..., 0].mean() - image[..., 2].mean()),
        (
            {"light_gradient": [1, 1]},
            lambda image: abs(image[:, :40].mean() - image[:, -40:].mean()),
        ),
    ],
)
def test_appearance_changes_what_it_names(faces, setting, figure):
    how = Appearance.of({**PAINTED.settings(), **setting})
    changed = [figure(render(face, 96, how).image) for face in faces[:20]]
    plain = [figure(render(face, 96, PAINTED).image) for face in faces[:20]]
    assert np.mean(changed) > np.mean(plain)


def test_framing_scales_the_face(faces):
    spans = {}
    for scale in (0.6, 1.2):
        how = Appearance.of({"scale": [scale, scale]})
        spans[scale] = [np.ptp(render(face, 96, how).landmarks[:, 1]) for face in faces[:10]]
    assert np.array(spans[1.2]) / np.array(spans[0.6]) == pytest.approx(2, rel=1e-4)


def test_grey_pictures_have_equal_channels(faces):
    image = render(faces[0], 64, Appearance.of({"grey": True})).image
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()


def test_skin_tones_of_the_groups_differ_in_the_mean_and_overlap(faces):
    tones = {}
    for race in RACES:
        brightness = []
        for face in faces[:40]:
            sample = render(replace(face, **BARE, race=race), 64, PAINTED)
            brightness.append(sample.image[sample.regions == CODE["skin"]].mean())
        tones[race] = np.array(brightness)
    assert tones["white"].mean() > tones["latinx"].mean() > tones["black"].mean()
    for lighter, darker in (("white", "latinx"), ("latinx", "indian"), ("indian", "black")):
        assert tones[darker].max() > tones[lighter].min()


def test_expressions_can_be_told_apart_from_the_landmarks():
    reader = SyntheticReader()
    faces = [reader.face(f"synthetic#{number}") for number in range(900)]
    rows = []
    for face in faces:
        points = placed(
            face_shapes(face, traits(face), face.action_units()), face, 96, reader.appearance
        )[0]["landmarks"]
        centred = points - points.mean(axis=0)
        rows.append((centred / np.sqrt((centred**2).sum())).ravel())
    labels = [EXPRESSIONS.index(face.expression) for face in faces]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    accuracy = model.fit(rows[:600], labels[:600]).score(rows[600:], labels[600:])
    assert accuracy > 0.75
