from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fer_lab.data.sources import SOURCES, layout, read
from fer_lab.data.sources.annotations import join_labels
from fer_lab.data.sources.lists import read_list, read_words
from fer_lab.errors import ConfigError, DataError

CODES = {"F": "female", "M": "male", "I": "unknown"}
COLUMNS = {"path": "image", "gender": "gender", "duplicate": "duplicate"}


def join(images: list[str], *files: Path, columns: dict[str, str | None] = COLUMNS):
    return join_labels(
        pd.Series(images, dtype="str"),
        files,
        columns=columns,
        codes=CODES,
        option="dataset.sources.x.gender_labels",
    )


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["image,gender,duplicate", *lines]) + "\n", encoding="utf-8")
    return path


def test_an_unknown_dataset_names_the_near_miss_and_the_known():
    with pytest.raises(ConfigError, match=r"did you mean 'affectnet'\?(.|\n)*synthetic"):
        read("afectnet", "/")


def test_an_unknown_option_names_the_near_miss_and_the_known():
    with pytest.raises(ConfigError, match=r"did you mean 'release'\?(.|\n)*gender_labels"):
        read("affectnet", "/", relase="csv")


def test_every_dataset_has_a_module():
    from importlib.util import find_spec

    assert all(find_spec(module) for module in SOURCES.values())


def test_labels_join_by_path_before_base_name(tmp_path):
    file = write(tmp_path / "a.csv", "1/a.jpg,F,", "./2/b.jpg,m,", "3\\a.jpg,I,0", "4/b.jpg,F,")
    joined = join(["1/a.jpg", "2/b.jpg", "3/a.jpg", "1/c.jpg"], file)
    assert list(joined.values) == ["female", "male", "unknown", "unknown"]
    assert joined.duplicates == 0
    assert joined.unmatched.to_dict("list") == {
        "place": [f"{file}, line 5"],
        "path": ["4/b.jpg"],
    }


def test_labels_join_by_base_name_where_no_path_is_the_images(tmp_path):
    file = write(tmp_path / "a.csv", "/home/me/faces/a.jpg,F,", "other/b.jpg,M,", "c.jpg,F,")
    joined = join(["1/b.jpg", "1/a.jpg", "2/d.jpg"], file)
    assert list(joined.values) == ["male", "female", "unknown"]
    assert list(joined.unmatched["path"]) == ["c.jpg"]


def test_bare_names_join_beside_paths(tmp_path):
    file = write(tmp_path / "a.csv", "1/a.jpg,F,", "b.jpg,M,")
    assert list(join(["1/a.jpg", "1/b.jpg"], file).values) == ["female", "male"]


def test_marked_duplicates_are_skipped_in_every_part_file(tmp_path):
    first = write(tmp_path / "a.csv", "a.jpg,F,", "a.jpg,M,1")
    second = write(tmp_path / "b.csv", "b.jpg,M,False", "a.jpg,Q,TRUE")
    joined = join(["1/a.jpg", "1/b.jpg"], first, second)
    assert list(joined.values) == ["female", "male"]
    assert joined.duplicates == 2


def test_a_file_without_a_column_of_duplicates_marks_none(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("image,gender\na.jpg,F\n")
    assert list(join(["a.jpg"], file).values) == ["female"]
    assert list(join(["a.jpg"], file, columns=COLUMNS | {"duplicate": None}).values) == ["female"]
    with pytest.raises(DataError, match=r"no column copy(.|\n)*image, gender"):
        join(["a.jpg"], file, columns=COLUMNS | {"duplicate": "copy"})


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a.jpg,F,", "b.jpg,X,"], ["'X'", "a.csv, line 3", "F female, M male, I unknown"]),
        (["a.jpg,,"], ["''", "line 2"]),
        (["a.jpg,F,maybe"], ["'maybe'", "line 2", "duplicate"]),
        (["1/a.jpg,F,", "1/a.jpg,F,"], ["1/a.jpg has 2 labels", "line 2", "line 3", "duplicates"]),
        (["1/a.jpg,F,", "c.jpg,F,"], ["c.jpg names 2 images", "line 3", "paths"]),
    ],
)
def test_a_label_that_cannot_be_placed_is_an_error(tmp_path, lines, words):
    file = write(tmp_path / "a.csv", *lines)
    with pytest.raises(DataError) as caught:
        join(["1/a.jpg", "1/b.jpg", "1/c.jpg", "2/c.jpg"], file)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_label_file_or_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone.csv cannot be read: No such file"):
        join(["a.jpg"], tmp_path / "gone.csv")
    file = tmp_path / "a.csv"
    file.write_text("name,sex\na.jpg,F\n")
    with pytest.raises(DataError, match=r"no column image, gender(.|\n)*name, sex(.|\n)*_columns"):
        join(["a.jpg"], file)


def test_labels_without_rows_match_nothing(tmp_path):
    joined = join(["a.jpg"], write(tmp_path / "a.csv"))
    assert list(joined.values) == ["unknown"]


@pytest.mark.parametrize(
    ("path", "unsafe"),
    [
        ("1/a.jpg", False),
        ("1/a..b.jpg", False),
        ("..a/b.jpg", False),
        ("a.jpg", False),
        ("/a.jpg", True),
        ("../a.jpg", True),
        ("1/../../a.jpg", True),
        ("1/..", True),
        ("..\\a.jpg", True),
        ("C:\\a.jpg", True),
        ("\\\\host\\a.jpg", True),
        ("a\x00.jpg", True),
        ("  ", True),
    ],
)
def test_paths_that_leave_the_folder_are_unsafe(path, unsafe):
    paths = layout.normal_paths(pd.Series([path], dtype="str"))
    assert layout.unsafe_paths(paths).tolist() == [unsafe]


@pytest.mark.parametrize("spelt", ["1/a.jpg", " ./1/a.jpg", "1\\a.jpg", "1//a.jpg", "1/./a.jpg"])
def test_a_path_has_one_spelling(spelt):
    assert layout.normal_paths(pd.Series([spelt], dtype="str")).tolist() == ["1/a.jpg"]


def test_existing_files_are_files_below_the_folder(tmp_path):
    (tmp_path / "1" / "2").mkdir(parents=True)
    for name in ("a.jpg", "1/b.jpg", "1/2/c d.jpg", "1/ü.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "1/loop").symlink_to(tmp_path / "1/loop")
    paths = [
        "a.jpg",
        "1/b.jpg",
        "1/2/c d.jpg",
        "1/ü.jpg",
        "1/2",
        "1/loop",
        "1/B.jpg",
        "3/b.jpg",
        "b.jpg",
    ]
    there = layout.existing_files(tmp_path, pd.Series(paths, dtype="str"))
    assert there.tolist() == [True] * 4 + [False] * 5


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00binary\n1,2", b'a,b\n"open'])
def test_what_is_no_list_is_one_error(tmp_path, content):
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"list\.csv"):
        list(read_list(path, ["a", "b"]))


@pytest.mark.parametrize("rows", ["1,2,3", "1,2,3\n1,2", "1,2\n1,2,3"])
def test_a_line_longer_than_the_first_is_an_error(tmp_path, rows):
    path = tmp_path / "list.csv"
    path.write_text(f"a,b\n{rows}\n")
    with pytest.raises(DataError, match=r"line [23]"):
        list(read_list(path, ["a"]))


def test_lists_may_have_a_byte_order_mark_blank_lines_and_spaces(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(b"\xef\xbb\xbfa, b ,c\r\n1,NA,3\r\n\r\n4,,6\r\n")
    (part,) = read_list(path, ["b", "a"])
    assert part.to_dict("list") == {"b": ["NA", ""], "a": ["1", "4"]}
    assert list(part.index) == [2, 4]


def test_words_between_blanks_may_stand_behind_a_name_with_blanks(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffa face.jpg  3 x\r\n\r\nb.jpg\t4\ty\r\nshort.jpg\r\n".encode())
    words = read_words(path, ["image", "code", "more"])
    assert words.to_dict("list") == {
        "image": ["a face.jpg", "b.jpg", "short.jpg"],
        "code": ["3", "4", ""],
        "more": ["x", "y", ""],
    }
    assert list(words.index) == [1, 3, 4]


def test_of_rows_with_the_same_keys_the_first_usable_one_is_kept():
    table = pd.DataFrame(
        {
            "image": ["a", "a", "a", "a", "b"],
            "code": [1, 1, 1, 2, 1],
            "reason": ["malformed row", "", "", "", ""],
        }
    )
    layout.set_aside_repeated(table, ["image"], "code")
    assert table["reason"].tolist() == [
        "malformed row",
        "",
        "listed twice, kept once",
        "listed again with another label, first kept",
        "",
    ]


def test_numbers_tell_empty_from_wrong():
    values, wrong = layout.numbers(pd.Series(["1", " -2.5 ", "", "x", "inf", "nan"]))
    assert values[:2].tolist() == [1, -2.5]
    assert wrong.tolist() == [False, False, False, True, True, True]
