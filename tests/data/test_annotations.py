from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lab.data import TableDataModule
from fer_lab.data.manifest import Assets, assets, merge, validate
from fer_lab.data.pixels.images import FileImages, resize_mask
from fer_lab.data.pixels.masks import NO_REGION, UNUSABLE, decode_mask, with_usable_masks
from fer_lab.data.sources.external import annotate
from fer_lab.data.vocabulary import INTENSITY_RANKS
from fer_lab.errors import ConfigError, DataError
from tests.layouts.table import write_image, write_mask, write_rows

PATHS = ("1/a.jpg", "1/b.jpg", "2/a.jpg", "2/c.jpg")


def manifest(
    root: Path, paths: tuple[str, ...] = PATHS, name: str = "mine", **columns: Any
) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "id": [f"{name}/{n}" for n in range(len(paths))],
            "dataset": name,
            "path": [f"{root}/{path}" for path in paths],
            "label": "happy",
            "split": "train",
            **columns,
        }
    )
    frame.attrs["assets"] = Assets(dropped={"image missing": 2}, roots={name: str(root)})
    return validate(frame)


def inferred(root: Path, *rows: tuple[str, ...], header: str = "image_path,gender,race,age") -> str:
    file = root / "inferred_demographics.csv"
    file.write_text("\n".join([header, *map(",".join, rows)]) + "\n")
    return str(file)


def joined(frame: pd.DataFrame, kind: str = "demographics", **options: Any) -> pd.DataFrame:
    return annotate(frame, [{"kind": kind, **options}]).manifest


@pytest.mark.parametrize(
    "spelt",
    ["1/b.jpg", "./1/b.jpg", "1\\b.jpg", "b.jpg", "mine/1", "1", "{root}/1/b.jpg", "/other/b.jpg"],
)
def test_a_face_is_found_by_id_path_or_base_name(tmp_path, spelt):
    file = inferred(tmp_path, (spelt.format(root=tmp_path), "Female", "White", "3-9"))
    found = joined(manifest(tmp_path), file=file)
    assert list(found["gender"]) == ["unknown", "female", "unknown", "unknown"]
    assert list(found["race"]) == ["unknown", "white", "unknown", "unknown"]
    assert list(found["age"]) == ["unknown", "3-9", "unknown", "unknown"]
    assert list(found["gender_source"]) == ["none", "inferred", "none", "none"]


def test_every_inferred_word_has_its_group(tmp_path):
    words = [
        ("Male", "White", "0-2"),
        ("Female", "Black", "3-9"),
        ("Man", "Latino_Hispanic", "10-19"),
        ("Woman", "East Asian", "20-29"),
        ("m", "Southeast Asian", "60-69"),
        ("f", "Indian", "70+"),
        ("", "Middle Eastern", "more than 70"),
    ]
    paths = tuple(f"{n}.jpg" for n in range(len(words)))
    file = inferred(tmp_path, *((path, *word) for path, word in zip(paths, words, strict=True)))
    found = joined(manifest(tmp_path, paths), file=file, source="fairface")
    assert list(found["gender"]) == ["male", "female"] * 3 + ["unknown"]
    assert list(found["race"]) == [
        "white",
        "black",
        "latino_hispanic",
        "east_asian",
        "southeast_asian",
        "indian",
        "middle_eastern",
    ]
    assert list(found["age"].cat.categories) == [
        *("0-2", "3-9", "10-19", "20-29", "60-69", "70+", "unknown")
    ]
    assert list(found["age"])[-2:] == ["70+", "70+"]
    for name in ("gender", "age", "race"):
        assert set(found[f"{name}_source"]) == {"fairface"}


def test_ages_in_years_are_cut_into_the_vocabularys_groups(tmp_path):
    years = ("0", "15.9", "16", "33", "53", "54", "99", "")
    paths = tuple(f"{n}.jpg" for n in range(len(years)))
    file = inferred(tmp_path, *((p, "f", "white", y) for p, y in zip(paths, years, strict=True)))
    found = joined(manifest(tmp_path, paths), file=file)
    expected = ["0-15", "0-15", "16-32", "33-53", "33-53", "54+", "54+", "unknown"]
    assert list(found["age"]) == expected
    assert found["age_years"].tolist()[:7] == [0, 15.9, 16, 33, 53, 54, 99]


def test_a_row_with_a_dataset_speaks_of_that_one_alone(tmp_path):
    first, second = (manifest(tmp_path / name, name=name) for name in ("mine", "yours"))
    both = pd.concat([first, second], ignore_index=True)
    roots = {name: str(tmp_path / name) for name in ("mine", "yours")}
    both["dataset"] = pd.Categorical(["mine"] * 4 + ["yours"] * 4)
    both.attrs["assets"] = Assets(roots=roots)
    header = "image_path,dataset,gender,race,age"
    rows = [("1/b.jpg", "yours", "f", "white", "3"), ("1/b.jpg", "Theirs", "m", "white", "3")]
    result = annotate(
        both, [{"kind": "demographics", "file": inferred(tmp_path, *rows, header=header)}]
    )
    assert list(result.manifest["gender"] == "female") == [False] * 5 + [True] + [False] * 2
    assert list(result.unmatched["path"]) == ["1/b.jpg"]
    with pytest.raises(DataError, match=r"1/b\.jpg names 2 faces(.|\n)*line 2(.|\n)*dataset"):
        joined(both, file=inferred(tmp_path, ("1/b.jpg", "f", "white", "3")))


def test_what_did_not_match_is_counted_and_listed(tmp_path):
    rows = [("1/b.jpg", "f", "white", "3"), ("9/z.jpg", "m", "white", "3")]
    target = tmp_path / "lists" / "unmatched.csv"
    result = annotate(
        manifest(tmp_path),
        [{"kind": "demographics", "file": inferred(tmp_path, *rows), "unmatched": str(target)}],
    )
    assert list(result.unmatched["kind"]) == ["demographics"]
    assert result.unmatched["place"][0].endswith("inferred_demographics.csv, line 3")
    pd.testing.assert_frame_equal(pd.read_csv(target, dtype="str"), result.unmatched)
    dropped = assets(result.manifest).dropped
    assert dropped == {"image missing": 2, "demographics of no listed image": 1}
    pd.testing.assert_frame_equal(assets(result.manifest).unmatched, result.unmatched)


def test_lists_of_what_did_not_match_are_kept_by_merging_and_further_annotations(tmp_path):
    parts = []
    for name in ("mine", "yours"):
        (tmp_path / name).mkdir()
        frame = manifest(tmp_path / name, name=name)
        file = inferred(tmp_path / name, (f"{name}.jpg", "f", "white", "3"))
        for _ in range(2):
            frame = joined(frame, file=file)
        parts.append(frame)
    unmatched = assets(merge(parts)).unmatched
    assert list(unmatched["path"]) == ["mine.jpg", "mine.jpg", "yours.jpg", "yours.jpg"]
    assert unmatched["place"].str.endswith("inferred_demographics.csv, line 2").all()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("1/b.jpg",), ("1/b.jpg",)], ["mine/1 is spoken of 2 times", "line 2", "line 3"]),
        ([("1/b.jpg",), ("mine/1",)], ["mine/1 is spoken of 2 times", "line 2", "line 3"]),
        ([("1/b.jpg",), ("a.jpg",)], ["a.jpg names 2 faces", "line 3", "ids"]),
    ],
)
def test_a_match_that_is_not_one_to_one_is_an_error(tmp_path, rows, words):
    file = inferred(tmp_path, *((*row, "f", "white", "3") for row in rows))
    with pytest.raises(DataError) as caught:
        joined(manifest(tmp_path), file=file)
    for word in [*words, "data.annotations[0]"]:
        assert word in str(caught.value)


def test_inferred_groups_do_not_hide_annotated_ones(tmp_path):
    known = manifest(
        tmp_path, gender=["male", "female", "male", "unknown"], gender_source="annotated"
    )
    file = inferred(tmp_path, ("1/b.jpg", "m", "white", "3"))
    with pytest.raises(
        DataError, match=r"gender of mine is known already \(annotated\)(.|\n)*replace"
    ):
        joined(known, file=file)
    others = joined(known, file=file, attributes=["race", "age"])
    assert list(others["gender"]) == list(known["gender"])
    replaced = joined(known, file=file, replace=True)
    assert list(replaced["gender"]) == ["unknown", "male", "unknown", "unknown"]
    assert list(replaced["gender_source"]) == ["none", "inferred", "none", "none"]


@pytest.mark.parametrize(
    ("header", "options", "words"),
    [
        ("picture,gender", {}, ["no column image_path", "picture, gender"]),
        ("image_path,sex", {}, ["no gender, age or race"]),
        ("image_path,gender", {"attributes": ["race"]}, ["no column race"]),
        ("image_path,gender", {"columns": {"gender": "sex"}}, ["no column sex"]),
        ("image_path,gender", {"columns": {"sex": "sex"}}, ["'sex'", "it names path"]),
        ("image_path,gender", {}, ["'robot' is no code for a gender", "line 2", "woman female"]),
    ],
)
def test_a_file_that_is_not_as_promised_is_named(tmp_path, header, options, words):
    file = inferred(tmp_path, ("1/b.jpg", "robot"), header=header)
    with pytest.raises((DataError, ConfigError)) as caught:
        joined(manifest(tmp_path), file=file, **options)
    for word in words:
        assert word in str(caught.value)


def ratings(root: Path, votes: dict[str, list[str]]) -> str:
    rows = [
        {"image": image, "annotator": person, "rank": rank}
        for image, ranks in votes.items()
        for person, rank in enumerate(ranks)
    ]
    return str(write_rows(root / "ratings.csv", rows))


def test_every_combination_of_three_votes_gives_the_majority_or_the_lower_of_a_tie(tmp_path):
    ballots = list(itertools.product(INTENSITY_RANKS, repeat=3))
    paths = tuple(f"{n}.jpg" for n in range(len(ballots)))
    file = ratings(tmp_path, {p: list(b) for p, b in zip(paths, ballots, strict=True)})
    frame = manifest(tmp_path, (*paths, "unrated.jpg"))
    result = annotate(frame, [{"kind": "intensity", "file": file}])
    expected = []
    for ballot in ballots:
        counts = [ballot.count(rank) for rank in INTENSITY_RANKS]
        expected.append(INTENSITY_RANKS[counts.index(max(counts))])
    assert list(result.manifest["intensity_rank"]) == [*expected, "unknown"]
    # Only three different ranks tie: 3! orders of them.
    assert list(result.counts.values()) == [6]
    undecided = joined(frame, "intensity", file=file, ties="unknown")
    assert (undecided["intensity_rank"] == "unknown").sum() == 7


def test_ranks_may_have_other_words_and_votes_may_be_left_out(tmp_path):
    file = ratings(tmp_path, {"1/b.jpg": ["3", "3", "1"], "c.jpg": ["0", "2"], "z.jpg": ["1"]})
    ranks = {1: "minimal", 2: "average", 3: "strong", 0: None}
    result = annotate(manifest(tmp_path), [{"kind": "intensity", "file": file, "ranks": ranks}])
    found = result.manifest["intensity_rank"]
    assert list(found) == ["unknown", "strong", "unknown", "average"]
    assert list(result.unmatched["path"]) == ["z.jpg"]
    with pytest.raises(DataError, match=r"'3' is no code for a rank(.|\n)*ratings\.csv, line 2"):
        joined(manifest(tmp_path), "intensity", file=file)


def test_an_annotator_has_one_vote(tmp_path):
    file = tmp_path / "ratings.csv"
    file.write_text(
        "image,annotator,rank\n1/b.jpg,eva,strong\n1/b.jpg,max,strong\nb.jpg,eva,strong\n"
    )
    with pytest.raises(DataError, match=r"eva rated mine/1 2 times(.|\n)*line 2(.|\n)*line 4"):
        joined(manifest(tmp_path), "intensity", file=str(file))


def test_masks_join_by_path_name_or_id(tmp_path):
    for name in ("1/a_mask.png", "b_mask.png", "mine/3_mask.png", "9/z_mask.png", "2/a.png"):
        write_mask(tmp_path / "masks" / name)
    result = annotate(
        manifest(tmp_path), [{"kind": "masks", "folder": tmp_path / "masks", "suffix": "_mask"}]
    )
    paths = result.manifest["mask_path"]
    assert list(paths.isna()) == [False, False, True, False]
    assert paths[0] == str(tmp_path / "masks/1/a_mask.png")
    assert paths[3] == str(tmp_path / "masks/mine/3_mask.png")
    assert list(result.unmatched["path"]) == ["9/z"]
    write_mask(tmp_path / "masks" / "1/b_mask.png")
    with pytest.raises(DataError, match="mine/1 is spoken of 2 times"):
        joined(manifest(tmp_path), "masks", folder=tmp_path / "masks", suffix="_mask")
    with pytest.raises(DataError, match=r"no masks `\*_seg\.png`"):
        joined(manifest(tmp_path), "masks", folder=tmp_path / "masks", suffix="_seg")


def test_a_mask_is_cropped_and_resized_as_its_image_is(tmp_path):
    write_image(tmp_path / "a.png", 1, size=(80, 72))
    whole = write_mask(tmp_path / "a_mask.png")
    frame = pd.concat([manifest(tmp_path, ("a.png",))] * 3, ignore_index=True)
    frame["id"] = ["mine/0", "mine/1", "mine/2"]
    frame["mask_path"] = [str(tmp_path / "a_mask.png")] * 2 + [None]
    frame["box"] = [-1, 0, 0]
    box = np.array([[10, 30, 20, 20]], dtype=np.float32)
    frame.attrs["assets"] = Assets(arrays={"box": box})
    images = FileImages(validate(frame), 36)
    assert images.has_regions
    regions = images.read(np.array([0, 1, 2])).regions
    assert regions is not None
    centres = ((np.arange(36) + 0.5) / 36 * 40).astype(int)
    assert np.array_equal(regions[0], whole[:, centres])
    # The widened box is 7 to 33 across and 27 to 53 down in the image, half of that in the mask.
    expected = np.array(
        [
            [
                whole[int((27 + (y + 0.5) / 36 * 26) / 2), int((7 + (x + 0.5) / 36 * 26) / 2)]
                for x in range(36)
            ]
            for y in range(36)
        ]
    )
    assert np.array_equal(regions[1], expected)
    assert (regions[2] == NO_REGION).all()


def test_enlarging_a_mask_makes_no_new_regions():
    mask = np.array([[0, 18], [2, 255]], dtype=np.uint8)
    assert np.array_equal(resize_mask(mask, (0, 0, 1, 1), 6), mask.repeat(3, 0).repeat(3, 1))


def test_masks_that_cannot_be_used_are_counted_and_their_faces_kept(tmp_path):
    good = write_mask(tmp_path / "good.png")
    write_mask(tmp_path / "wrong.png", nose=19)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "colours.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:40])
    palette = Image.fromarray(good).convert("P")
    palette.putpalette(list(range(256)) * 3)
    palette.save(tmp_path / "palette.png")
    names = ("good.png", "wrong.png", "colours.png", "cut.png", "palette.png", "gone.png")
    frame = manifest(tmp_path, tuple(f"{n}.jpg" for n in range(6)))
    frame["mask_path"] = [str(tmp_path / name) for name in names]
    for _ in range(2):  # the second look remembers the first
        kept, counted = with_usable_masks(frame, tmp_path / "cache")
        assert counted == {UNUSABLE: 4}
        assert list(kept["mask_path"].notna()) == [True, False, False, False, True, False]
    assert np.array_equal(decode_mask(str(tmp_path / "palette.png")), good)
    with pytest.raises(DataError, match=r"19 is no region(.|\n)*wrong\.png(.|\n)*REGIONS"):
        decode_mask(str(tmp_path / "wrong.png"))
    none, _ = with_usable_masks(frame.iloc[1:4], tmp_path / "cache")
    assert "mask_path" not in none


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ({"kind": "demographic", "file": "x"}, ["'demographic'", "did you mean 'demographics'"]),
        ({"file": "x"}, ["kinds: demographics, intensity, masks"]),
        ({"kind": "masks"}, ["masks needs folder"]),
        ({"kind": "masks", "folder": "x", "sufix": "_m"}, ["'sufix'", "folder, suffix"]),
        ({"kind": "intensity", "file": "x", "ties": "upper"}, ["ties=upper"]),
    ],
)
def test_a_wrong_option_names_the_right_ones(tmp_path, annotation, words):
    with pytest.raises(ConfigError) as caught:
        annotate(manifest(tmp_path), [annotation])
    for word in [*words, "data.annotations[0]"]:
        assert word in str(caught.value)


@pytest.mark.parametrize("cache", ["none", "packed"])
def test_annotations_are_reached_through_the_datamodule(tmp_path, cache):
    rows = [
        {"path": f"{n}.png", "label": ("happy", "sad")[n % 2], "split": split}
        for n, split in enumerate(["train"] * 4 + ["val"] * 2 + ["test"] * 2)
    ]
    for row in rows:
        write_image(tmp_path / row["path"], 1)
        write_mask(tmp_path / "masks" / row["path"])
    write_rows(tmp_path / "own.csv", rows)
    groups = [(row["path"], ("f", "m")[n // 2 % 2], "white", "30") for n, row in enumerate(rows)]
    folder = tmp_path / "annotations"
    folder.mkdir()
    data = TableDataModule(
        tmp_path,
        table={"file": "own.csv"},
        annotations=[
            {"kind": "demographics", "file": inferred(folder, *groups), "source": "fairface"},
            {"kind": "masks", "folder": tmp_path / "masks"},
        ],
        attributes=["gender"],
        image_size=8,
        batch_size=2,
        num_workers=0,
        cache=cache,
    )
    data.setup()
    assert data.sources_of == {"gender": "fairface"}
    assert data.has_regions
    batch = next(iter(data.test_dataloader()))
    assert batch["group"]["gender"].tolist() == [1, 1]
    assert batch["regions"][0].unique().tolist() == [0, 1, 2]
