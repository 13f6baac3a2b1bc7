from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import pearsonr, spearmanr

from fer_lab.errors import DataError
from fer_lab.explain.merged import Merged, MergedSums
from fer_lab.explain.supplied import compare_supplied, supplied_frame
from fer_lab.explain.supplied_files import Supplied, read_supplied

SIZE = (56, 69)
CELLS = (
    ("female", "happy"),
    ("female", "sad"),
    ("male", "happy"),
    ("male", "sad"),
    ("middle_eastern", "happy"),
)
SPOTS = {"happy": (46, 28), "sad": (18, 20)}


def spot(row: float, column: float, size: tuple[int, int] = SIZE, width: float = 6.0):
    down, across = np.mgrid[: size[1], : size[0]]
    return np.exp(-((down - row) ** 2 + (across - column) ** 2) / (2 * width**2)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    """Maps of 300 images around their expression's spot, and their merged heatmaps."""
    rng = np.random.default_rng(0)
    cell = rng.integers(0, 4, 300)
    maps = []
    for number in cell:
        row, column = SPOTS[CELLS[number][1]]
        # Women's maps lie a little higher.
        row -= 4 * (CELLS[number][0] == "female")
        noise = rng.random((SIZE[1], SIZE[0]))
        maps.append(spot(row + rng.normal(0, 4), column + rng.normal(0, 4)) + 0.5 * noise)
    maps = np.stack(maps).astype(np.float32)
    maps[:, :3, :5] = np.nan
    sums = MergedSums(len(CELLS), SIZE)
    sums.update(*map(torch.from_numpy, (maps, cell, rng.integers(0, 20, 300))))
    return SimpleNamespace(
        maps=maps, cell=cell, merged=Merged(CELLS, sums.total.numpy(), sums.count.numpy())
    )


def given(**maps) -> Supplied:
    cells = {tuple(n.split("__")) if "__" in n else (None, n): v for n, v in maps.items()}
    return Supplied(cells, {cell: str(cell) for cell in cells}, {})


def only(facts):
    (row,) = facts["maps"]
    return row


def test_correlations_are_those_of_scipy_over_the_mean_of_all_images(model):
    human = spot(44, 30)
    human[-2:] = np.nan
    row = only(compare_supplied(given(happy=human), model.merged, samples=5))
    means = {
        name: model.maps[np.isin(model.cell, [i for i, c in enumerate(CELLS) if c[1] == name])]
        for name in SPOTS
    }
    known = np.isfinite(human)
    known[:3, :5] = False
    own, other = (means[name].mean(0)[known] for name in ("happy", "sad"))
    assert row["group"] is None
    assert row["images"] == len(means["happy"])
    assert row["pixels"] == known.sum()
    expected = pearsonr(human[known], own).statistic
    assert row["pearson"]["value"] == pytest.approx(expected, abs=1e-6)
    assert row["spearman"]["value"] == pytest.approx(
        spearmanr(human[known], own).statistic, abs=1e-4
    )
    against = pearsonr(human[known], other).statistic
    assert row["others"] == {"sad": pytest.approx(against, abs=1e-6)}
    assert row["specific"]["value"] == pytest.approx(expected - against, abs=1e-6)
    assert row["rank"] == 1


def test_a_map_of_a_group_is_compared_with_that_group(model):
    human = spot(42, 28)
    facts = compare_supplied(given(female__happy=human, male__happy=human), model.merged, samples=5)
    known = np.ones(human.shape, dtype=bool)
    known[:3, :5] = False
    for row, place in zip(facts["maps"], (0, 2), strict=True):
        own = model.maps[model.cell == place].mean(0)
        assert row["group"] == CELLS[place][0]
        assert row["images"] == (model.cell == place).sum()
        assert row["pearson"]["value"] == pytest.approx(
            pearsonr(human[known], own[known]).statistic, abs=1e-6
        )
    women, men = (row["pearson"]["value"] for row in facts["maps"])
    assert women > men


def test_a_map_of_the_middle_is_no_better_than_the_gaussian(model):
    width, height = SIZE
    middle = spot((height - 1) / 2, (width - 1) / 2)
    facts = compare_supplied(given(happy=middle, sad=spot(*SPOTS["sad"])), model.merged, samples=20)
    by_name = {row["expression"]: row for row in facts["maps"]}
    down, across = np.mgrid[:height, :width]
    gaussian = np.exp(
        -(((down - 34) / (height / 4)) ** 2 + ((across - 27.5) / (width / 4)) ** 2) / 2
    )
    assert facts["centre"]["sigma"] == [width / 4, height / 4]
    for name, human in (("happy", middle), ("sad", spot(*SPOTS["sad"]))):
        expected = pearsonr(human.ravel(), gaussian.ravel()).statistic
        assert by_name[name]["centre"] == pytest.approx(expected, abs=1e-5)
    assert by_name["happy"]["above_centre"]["high"] < 0
    assert by_name["sad"]["above_centre"]["low"] > 0


def test_a_match_with_the_wrong_expression_shows(model):
    row = only(compare_supplied(given(happy=spot(*SPOTS["sad"])), model.merged, samples=20))
    assert row["rank"] == 2
    assert row["specific"]["high"] < 0


def test_intervals_hold_the_spread_of_models_of_other_images(model):
    """The bootstrap's width against heatmaps of images that are drawn anew."""
    human = spot(44, 30)
    row = only(compare_supplied(given(happy=human), model.merged, samples=400))
    happy = model.maps[np.isin(model.cell, (0, 2))]
    rng = np.random.default_rng(3)
    known = np.isfinite(happy[0])
    drawn = [
        pearsonr(
            human[known], happy[rng.integers(0, len(happy), len(happy))].mean(0)[known]
        ).statistic
        for _ in range(400)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert row["pearson"]["low"] < row["pearson"]["value"] < row["pearson"]["high"]
    width = row["pearson"]["high"] - row["pearson"]["low"]
    assert 0.5 < width / (high - low) < 2


def test_the_same_seed_gives_the_same_and_json_takes_it(model):
    human = given(happy=spot(44, 30), sad=spot(18, 20))
    first, second = (compare_supplied(human, model.merged, samples=10, seed=4) for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)
    frame = supplied_frame(first).set_index("expression")
    assert frame.loc["sad", "pearson_low"] == first["maps"][1]["pearson"]["low"]
    assert frame.loc["sad", "specific"] == first["maps"][1]["specific"]["value"]
    assert not frame.isna().drop(columns="group").any(axis=None)


def test_what_cannot_be_compared_is_left_out_with_its_reason(model):
    flat = np.ones((SIZE[1], SIZE[0]), dtype=np.float32)
    facts = compare_supplied(
        given(happy=spot(44, 30), sad=flat, middle_eastern__happy=flat), model.merged, samples=2
    )
    assert [row["expression"] for row in facts["maps"]] == ["happy"]
    assert "the same everywhere" in facts["left_out"][str((None, "sad"))]
    assert "no image" in facts["left_out"][str(("middle_eastern", "happy"))]
    with pytest.raises(DataError, match="no supplied heatmap can be compared") as caught:
        compare_supplied(given(sad=flat), model.merged)
    assert "happy, sad" in str(caught.value)


def test_images_in_one_block_have_no_interval(model):
    total, count = (array.copy() for array in (model.merged.total, model.merged.count))
    total[:, 1:], count[:, 1:] = 0, 0
    row = only(compare_supplied(given(happy=spot(44, 30)), Merged(CELLS, total, count), samples=9))
    assert row["pearson"]["value"] is not None
    assert row["pearson"]["low"] is row["pearson"]["high"] is None


def test_every_format_gives_the_same_map(tmp_path):
    width, height = SIZE
    whole = np.round(spot(30, 30) * 255)
    Image.fromarray(whole.astype(np.uint8)).save(tmp_path / "Happy.png")
    np.save(tmp_path / "female-happy.npy", whole)
    np.savetxt(tmp_path / "middle-eastern happy.csv", whole, delimiter=",")
    np.savez(tmp_path / "male_happy.npz", whole)
    np.savez(tmp_path / "many.npz", female_sad=whole, sad=whole, odd=whole)
    found = read_supplied(tmp_path, CELLS, SIZE)
    assert set(found.maps) == {
        (None, "happy"), ("female", "happy"), ("middle_eastern", "happy"), ("male", "happy"),
        ("female", "sad"), (None, "sad"),
    }  # fmt: skip
    for values in found.maps.values():
        assert values.shape == (height, width)
        np.testing.assert_allclose(values, whole, atol=1e-4)
    assert list(found.left_out) == ["many.npz/odd"]


def test_names_that_mean_nothing_are_listed_with_a_near_one(tmp_path):
    np.save(tmp_path / "hapy.npy", spot(1, 1))
    (tmp_path / "notes.txt").write_text("eye tracking, 2025")
    (tmp_path / ".hidden").write_text("")
    found = read_supplied(tmp_path, CELLS, SIZE)
    assert not found.maps
    assert "did you mean 'happy'?" in found.left_out["hapy.npy"]
    assert set(found.left_out) == {"hapy.npy", "notes.txt"}


def test_another_size_of_the_same_aspect_is_resized_around_what_is_unknown(tmp_path):
    width, height = SIZE
    large = spot(90, 60, (2 * width, 2 * height), 12)
    large[:20] = np.nan
    np.save(tmp_path / "happy.npy", large)
    found = read_supplied(tmp_path, CELLS, SIZE).maps[None, "happy"]
    pairs = large.reshape(height, 2, width, 2)
    expected = pairs.mean((1, 3))
    assert np.isnan(found[:9]).all()
    assert np.isfinite(found[11:]).all()
    np.testing.assert_allclose(found[12:], expected[12:], atol=0.02)


def test_empty_fields_of_a_csv_are_unknown(tmp_path):
    rows = [[str(value) for value in row] for row in spot(30, 30)]
    rows[5][7] = ""
    (tmp_path / "sad.csv").write_text("\n".join(map(",".join, rows)))
    found = read_supplied(tmp_path, CELLS, SIZE).maps[None, "sad"]
    assert np.argwhere(np.isnan(found)).tolist() == [[5, 7]]


def colours(folder):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (69, 56, 3), np.uint8)).save(
        folder / "happy.png"
    )


def twice(folder):
    np.save(folder / "happy.npy", spot(1, 1))
    np.savez(folder / "happy.npz", spot(1, 1))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda folder: np.save(folder / "happy.npy", np.ones((224, 224))), "face_space.normalize"),
        (lambda folder: np.save(folder / "happy.npy", np.ones((3, 69, 56))), "rows and columns"),
        (lambda folder: np.save(folder / "happy.npy", np.array([["a"]])), "of numbers"),
        (lambda folder: (folder / "happy.csv").write_text("a,b\n1,2\n"), "cannot be read"),
        (lambda folder: (folder / "happy.csv").write_text(""), "cannot be read"),
        (lambda folder: (folder / "happy.npy").write_bytes(b"\x93NUM"), "cannot be read"),
        (lambda folder: (folder / "happy.npz").write_bytes(b"PK\x03\x04no"), "cannot be read"),
        (lambda folder: (folder / "happy.png").write_bytes(b"no"), "not an image"),
        (colours, "colours"),
        (twice, "two heatmaps are of one cell"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_error(tmp_path, write, said):
    write(tmp_path)
    with pytest.raises(DataError, match=said):
        read_supplied(tmp_path, CELLS, SIZE)


def test_a_folder_that_is_not_there_is_named_with_what_belongs_in_it(tmp_path):
    with pytest.raises(DataError, match="<group>_<expression>") as caught:
        read_supplied(tmp_path / "eyes", CELLS)
    assert str(tmp_path / "eyes") in str(caught.value)
