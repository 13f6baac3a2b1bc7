from __future__ import annotations

import pytest
from matplotlib.image import imread

from fer_lab.report.audit.figures import (
    bias_figure,
    distribution_figure,
    measures_figure,
    write_figures,
)
from fer_lab.report.audit.matrices import four_way_figure, joint_figure
from tests.report.audited import audited, side


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


@pytest.fixture(scope="module")
def audit():
    return audited(side("one"), side("bare", known=[]), side("merged"))


def test_every_picture_is_written_and_not_blank(audit, tmp_path):
    written = write_figures(audit, tmp_path)
    assert set(written) == {
        *("bias", "measures", "joint/one", "four_way/one", "joint/merged", "four_way/merged"),
        *(f"distribution/{name}" for name in ("expression", "gender", "age", "race")),
    }
    for path in written.values():
        pixels = imread(path)
        assert pixels.shape[1] == 1050
        assert pixels[..., :3].min() < 0.2


def test_a_distribution_writes_share_and_count_of_every_group(audit):
    shown = [text.strip() for text in texts(distribution_figure(audit, "race"))]
    table = audit.macro[audit.macro["attribute"] == "race"]
    for share, count in zip(table["share"], table["count"], strict=True):
        assert f"{share:.1%}  {count}" in shown
    assert "not known" in shown


def test_groups_of_different_names_keep_an_axis_each():
    other = side("other", groups={"race": ("caucasian", "asian")})
    audit = audited(side("one", groups={"race": ("white", "black", "asian")}), other)
    one, two = distribution_figure(audit, "race").axes
    assert [label.get_text() for label in one.get_yticklabels()] == ["white", "black", "asian"]
    assert [label.get_text() for label in two.get_yticklabels()] == ["caucasian", "asian"]


def test_groups_of_one_name_stand_in_one_row_whatever_their_order():
    left = side("one", groups={"race": ("white", "black")})
    right = side("two", groups={"race": ("black", "white")})
    audit = audited(left, right)
    figure = distribution_figure(audit, "race")
    shares = audit.macro[audit.macro["attribute"] == "race"]
    shares = shares.set_index(["dataset", "value"])["share"]
    for axes, dataset in zip(figure.axes, ("one", "two"), strict=True):
        widths = [bar.get_width() for bar in axes.patches]
        assert widths == [shares[dataset, "white"], shares[dataset, "black"]]


def test_measures_are_written_for_every_attribute_and_a_dash_where_none_is(audit):
    shown = texts(measures_figure(audit))
    assert len(shown) == 3 * 4 * 8
    assert shown.count("–") == 4 * 8
    for value in audit.measures["value"].dropna():
        assert f"{value:.3f}" in shown


def test_bias_is_written_beside_each_point(audit):
    shown = texts(bias_figure(audit))
    document = audit.documents["merged"]
    for part in (document, *document["attributes"].values()):
        assert f"{part['bias']['value']:.3f}" in shown
    assert "not known" in shown


def test_the_four_way_matrix_has_a_cell_for_every_combination(audit):
    figure = four_way_figure(audit, "one")
    panels = [axes for axes in figure.axes if axes.get_title(loc="left").startswith("age")]
    assert [axes.get_title(loc="left") for axes in panels] == [
        *("age 0-15", "age 16-32", "age 33-53", "age 54+"),
    ]
    assert len(texts(figure)) == 7 * 4 * 2 * 6
    table = audit.four_way[audit.four_way["dataset"] == "one"]
    table = table.set_index(["age", "gender", "race", "label"])["share"]
    drawn = panels[2].images[0].get_array()
    assert drawn[1, 6 + 4] == table["33-53", "male", "latinx", "happy"]


def test_the_joint_matrix_is_that_of_the_table(audit):
    figure = joint_figure(audit, "one")
    drawn = figure.axes[0].images[0].get_array()
    assert drawn.shape == (7 + 2 + 4 + 6,) * 2
    table = audit.joint_matrix[audit.joint_matrix["dataset"] == "one"]
    table = table.set_index(["value", "other_value"])["share"]
    assert drawn[1, 7] == drawn[7, 1] == table["happy", "female"]
    assert drawn.mask[0, 1]


def test_without_anything_known_there_are_only_expressions(tmp_path):
    bare = audited(side("bare", known=[]))
    assert set(write_figures(bare, tmp_path)) == {"distribution/expression"}
