from __future__ import annotations

import numpy as np
import pytest

from fer_lab.data.manifest import assets, group_values
from fer_lab.data.sources import kdef, read
from fer_lab.data.splitting.splits import where
from fer_lab.errors import ConfigError, DataError
from tests.layouts.kdef import ANGLES, CODES, write_kdef, write_photograph


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return write_kdef(tmp_path_factory.mktemp("kdef"))


@pytest.mark.parametrize(("code", "name"), CODES.items())
def test_every_code_has_its_expression(code, name, copy):
    manifest = read("kdef", copy.root)
    of_code = manifest["id"].str.fullmatch(rf"kdef/[AB][FM]\d\d{code}\w+")
    assert of_code.sum() >= 40
    assert set(manifest["label"][of_code]) == {name}


@pytest.mark.parametrize(("code", "name"), ANGLES.items())
def test_every_angle_has_its_name(code, name, copy):
    manifest = read("kdef", copy.root)
    of_code = manifest["id"].str.fullmatch(rf"kdef/[AB][FM]\d\d[A-Z][A-Z]{code}")
    assert of_code.sum() >= 56
    assert set(manifest["attribute_angle"][of_code]) == {name}
    assert (where(manifest, {"angle": [name]}) == of_code.to_numpy()).all()


def test_the_codes_are_those_of_the_description():
    assert kdef.EXPRESSION_CODES == CODES
    assert kdef.ANGLE_CODES == ANGLES
    assert kdef.GENDER_CODES == {"F": "female", "M": "male"}


def test_people_are_told_apart_by_sex_and_number(copy):
    """The number 01 is a woman's and a man's; sessions A and B show the same people."""
    manifest = read("kdef", copy.root).set_index("id")
    for name, face in copy.images.items():
        row = manifest.loc[f"kdef/{name}"]
        assert (row["subject"], row["gender"], row["label"]) == face[:3]
    assert set(manifest["subject"]) == {"F01", "F02", "M01", "M02", "F35", "M35"}
    assert set(manifest["gender_source"]) == {"annotated"}
    assert set(manifest["age_source"]) == set(manifest["race_source"]) == {"none"}


@pytest.mark.parametrize("angles", ["straight", ["straight"], ["half_right", "straight"]])
def test_angles_are_chosen_and_the_others_counted(angles, copy):
    manifest = read("kdef", copy.root, angles=angles)
    chosen = {angles} if isinstance(angles, str) else set(angles)
    expected = {f"kdef/{name}" for name, face in copy.images.items() if face.angle in chosen}
    assert set(manifest["id"]) == expected
    assert group_values(manifest, "angle") == tuple(
        a for a in kdef.ANGLE_CODES.values() if a in chosen
    )
    dropped = assets(manifest).dropped
    for name in set(ANGLES.values()) - chosen:
        assert dropped[f"angle {name}"] == sum(f.angle == name for f in copy.images.values())


@pytest.mark.parametrize(
    ("angles", "words"), [(["strait"], "did you mean 'straight'"), ([], "no angle")]
)
def test_an_angle_that_there_is_not_is_an_error(angles, words, copy):
    with pytest.raises(ConfigError, match=rf"{words}(.|\n)*full_right"):
        read("kdef", copy.root, angles=angles)


def test_images_may_lie_in_one_folder(tmp_path):
    nested = write_kdef(tmp_path / "a", people=1, odd=False)
    flat = write_kdef(tmp_path / "b", people=1, folders=False, odd=False)
    columns = ["id", "label", "subject", "gender", "attribute_angle"]
    first, second = read("kdef", nested.root), read("kdef", flat.root)
    assert first[columns].equals(second[columns])


def test_an_unknown_code_names_the_file(tmp_path):
    write_photograph(tmp_path / "AF01/AF01XXHL.JPG", 0, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"'XX' is no code(.|\n)*AF01/AF01XXHL.JPG(.|\n)*AF fear"):
        read("kdef", tmp_path)
