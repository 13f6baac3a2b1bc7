from __future__ import annotations

import numpy as np
import pytest

from fer_lab.data.pixels.decoding import decode
from fer_lab.data.sources import jaffe, read
from fer_lab.errors import DataError
from tests.layouts.jaffe import CODES, SUBJECTS, write_grey, write_jaffe


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return write_jaffe(tmp_path_factory.mktemp("jaffe"))


@pytest.mark.parametrize(("code", "name"), CODES.items())
def test_every_code_has_its_expression(code, name, copy):
    manifest = read("jaffe", copy.root)
    of_code = manifest["id"].str.fullmatch(rf"jaffe/..\.{code}\d\.\d+")
    assert of_code.sum() >= 6
    assert set(manifest["label"][of_code]) == {name}


def test_the_codes_are_those_of_the_description():
    assert jaffe.EXPRESSION_CODES == CODES


def test_the_person_is_in_the_name_and_everyone_is_a_woman(tmp_path):
    copy = write_jaffe(tmp_path, people=10, each=1, odd=False)
    manifest = read("jaffe", copy.root)
    shown = dict(zip(manifest["id"].str.removeprefix("jaffe/"), manifest["subject"], strict=True))
    assert shown == {name: subject for name, (subject, _) in copy.images.items()}
    assert set(manifest["subject"]) == set(SUBJECTS)
    assert set(manifest["gender"]) == {"female"}
    assert set(manifest["gender_source"]) == {"annotated"}
    assert set(manifest["race_source"]) == set(manifest["age_source"]) == {"none"}


def test_its_grey_tiff_files_are_decoded(copy):
    image = decode(str(copy.root / "KA.AN1.1.tiff"))
    assert image.shape == (64, 64, 3)
    assert (image[..., 0] == image[..., 2]).all()


def test_an_unknown_code_names_the_file(copy, tmp_path):
    root = write_jaffe(tmp_path, people=1, each=1, odd=False).root
    write_grey(root / "KA.XX1.77.tiff", 0, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"'XX' is no code(.|\n)*KA\.XX1\.77\.tiff(.|\n)*AN anger"):
        read("jaffe", root)


def test_a_folder_without_its_images_is_an_error(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError, match=r"none of the 1 rows of JAFFE.*another form: 1"):
        read("jaffe", tmp_path)
