from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fer_lab.data.manifest import assets, fingerprint, merge
from fer_lab.data.sources import read
from fer_lab.data.sources.synthetic import read as read_synthetic
from fer_lab.data.synthetic import Appearance, Population, SyntheticReader
from fer_lab.data.synthetic.anatomy import UNITS
from fer_lab.errors import ConfigError, DataError


def same(first, second):
    return (
        (first.image == second.image).all()
        and (first.regions == second.regions).all()
        and (first.landmarks == second.landmarks).all()
    )


def test_a_face_is_the_same_whatever_the_order():
    forwards, backwards = SyntheticReader(seed=4), SyntheticReader(seed=4)
    paths = [f"synthetic#{number}" for number in (0, 499, 500, 4321, 20_000_001)]
    ahead = [forwards.read(path, 64) for path in paths]
    back = [backwards.read(path, 64) for path in reversed(paths)][::-1]
    assert all(map(same, ahead, back))


def test_a_face_is_the_same_in_a_spawned_process():
    reader = SyntheticReader(seed=2, population={"label_noise": 0.1})
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.starmap(reader.read, [(f"synthetic#{n}", 48) for n in (7, 3)])
    assert same(there[0], reader.read("synthetic#7", 48))
    assert same(there[1], reader.read("synthetic#3", 48))


def test_rendering_needs_no_torch():
    code = (
        "import sys; from fer_lab.data.sources import read;"
        "m = read('synthetic', train=2, val=0, test=0);"
        "m.attrs['assets'].readers['synthetic'].read(m.path[0], 48);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_seeds_and_numbers_give_different_faces():
    first = SyntheticReader(seed=1).read("synthetic#0", 48).image
    assert (first != SyntheticReader(seed=2).read("synthetic#0", 48).image).mean() > 0.5
    assert (first != SyntheticReader(seed=1).read("synthetic#1", 48).image).mean() > 0.5


def test_key_covers_every_setting():
    settings = [
        {},
        {"seed": 2},
        {"classes": 8},
        {"population": "fair"},
        {"population": {"intensity_power": 1.0}},
        {"test_population": Population.named("fair")},
        {"appearance": {"blur": [0, 0.8]}},
        {"appearance": {"grey": True}},
    ]
    keys = [SyntheticReader(**each).key() for each in settings]
    assert len(set(keys)) == len(keys)
    assert SyntheticReader().key() == keys[0]


def test_reader_is_pickled_without_its_faces():
    reader = SyntheticReader()
    reader.read("synthetic#0", 48)
    assert len(pickle.dumps(reader)) < 5000
    assert pickle.loads(pickle.dumps(reader)).key() == reader.key()


@pytest.mark.parametrize("path", ["synthetic", "synthetic#", "synthetic#-1", "synthetic#30000000"])
def test_a_path_that_is_no_face_is_an_error(path):
    with pytest.raises(DataError, match="not a synthetic face"):
        SyntheticReader().read(path, 48)


def test_manifest_tells_everything_that_is_drawn():
    manifest = read("synthetic", train=60, val=20, test=40, classes=8, seed=3)
    assert manifest["split"].value_counts().to_dict() == {"train": 60, "val": 20, "test": 40}
    assert manifest["id"][0] == "synthetic/000000"
    assert manifest["path"][0] == "synthetic#0"
    assert (manifest["gender_source"] == "synthetic").all()
    reader = assets(manifest).readers["synthetic"]
    for row in (0, 59, 60, 85, 119):
        told, face = manifest.loc[row], reader.face(manifest["path"][row])
        assert (told["true_label"], told["gender"], told["race"]) == (
            face.expression,
            face.gender,
            face.race,
        )
        assert told["age_years"] == face.age_years
        assert told["intensity"] == np.float32(face.intensity)
        assert told["attribute_glasses"] == ("yes" if face.glasses else "no")
        for unit in UNITS:
            assert told[f"au_{unit}"] == pytest.approx(max(face.action_units()[unit]), abs=1e-6)


def test_age_group_and_years_agree():
    manifest = read_synthetic(train=3000, val=0, test=0)
    cut = pd.cut(
        manifest["age_years"], [0, 15, 32, 53, 200], labels=["0-15", "16-32", "33-53", "54+"]
    )
    assert (cut.astype(str) == manifest["age"].astype(str)).all()


def test_other_counts_leave_the_faces_as_they_are():
    small = read_synthetic(train=50, val=10, test=10)
    large = read_synthetic(train=500, val=10, test=10)
    joined = small.merge(large, on="id", suffixes=("", "_large"))
    assert len(joined) == 70
    assert (joined["intensity"] == joined["intensity_large"]).all()
    assert (joined["label"] == joined["label_large"]).all()


def test_the_test_split_can_have_its_own_population():
    rule = {"attribute": "hat", "value": "yes", "with": "label", "equals": "sad", "strength": 1.0}
    manifest = read_synthetic(
        train=600, val=0, test=600, population={"planted": [rule]}, test_population={"planted": []}
    )
    agrees = (manifest["attribute_hat"] == "yes") == (manifest["label"] == "sad")
    train = manifest["split"] == "train"
    assert agrees[train].all()
    assert not agrees[~train].all()
    reader = assets(manifest).readers["synthetic"]
    last = manifest.iloc[-1]
    assert reader.face(last["path"]).hat == (last["attribute_hat"] == "yes")


def test_two_sets_of_pictures_merge_into_one_manifest():
    bright = read_synthetic(train=5, val=0, test=0, dataset="bright")
    dark = read_synthetic(train=5, val=0, test=0, dataset="dark", appearance={"light": [0.4, 0.4]})
    merged = merge([bright, dark])
    readers = assets(merged).readers
    images = {name: readers[name].read(merged["path"][0], 48).image for name in ("bright", "dark")}
    assert images["dark"].mean() < images["bright"].mean()
    assert fingerprint(bright) != fingerprint(dark)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"seed": "one"}, "seed='one'"),
        ({"train": -1}, "-1 is not a number of faces"),
        ({"train": 2.5}, "2.5 is not a number of faces"),
        ({"train": 0, "val": 0, "test": 0}, "no face is asked for"),
        ({"population": "unfair"}, "no population 'unfair'"),
        ({"classes": 5}, "classes=5"),
        ({"test_population": {"plantd": []}}, "did you mean 'planted'"),
        ({"apearance": {}}, "did you mean 'appearance'"),
    ],
)
def test_options_that_cannot_work_are_named(options, named):
    with pytest.raises(ConfigError) as caught:
        read("synthetic", **options)
    assert named in str(caught.value)


def test_without_its_difference_an_appearance_is_the_default():
    far = {"light": [0.3, 0.5], "yaw": 2.0, "scale": [0.9, 1.0], "grey": True}
    options = {"train": 3, "val": 0, "test": 0, "seed": 5}
    plain, off, on = (
        assets(read_synthetic(**options, **more)).readers["synthetic"]
        for more in ({}, {"appearance": far, "difference": False}, {"appearance": far})
    )
    path = "synthetic#1"
    assert same(plain.read(path, 48), off.read(path, 48))
    assert plain.key() == off.key()
    assert not same(plain.read(path, 48), on.read(path, 48))


def test_half_a_difference_is_half_way():
    usual, far = Appearance(), Appearance(light=(0.35, 0.55), yaw=4.0, grey=True)
    half = far.weakened(0.5)
    assert half.light == pytest.approx([(0.75 + 0.35) / 2, (1.15 + 0.55) / 2])
    assert half.yaw == pytest.approx((usual.yaw + 4.0) / 2)
    assert half.blur == usual.blur
    assert (far.weakened(0.49).grey, half.grey) == (False, True)


@pytest.mark.parametrize("difference", [-0.1, 1.5, "much"])
def test_a_difference_is_a_share(difference):
    with pytest.raises(ConfigError, match="cannot stand for difference"):
        read_synthetic(train=1, val=0, test=0, difference=difference)
