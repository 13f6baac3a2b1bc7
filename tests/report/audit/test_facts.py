from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from fer_lab.data.side_by_side import Side
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import DataError
from fer_lab.report.audit.facts import TABLES, Audit, audit_of, load_audit, write_audit
from tests.report.audited import audited, side


@pytest.fixture(scope="module")
def audit() -> Audit:
    return audited(side("one"), side("other set", known=[]))


def test_what_is_not_known_is_nan_in_the_measures_and_counted_as_unknown(audit):
    values = audit.measures.set_index(["dataset", "attribute", "measure"])["value"]
    assert values["other set"].isna().all()
    assert values["one"].notna().all()
    counts = audit.counts.groupby(["dataset", "attribute", "group"])["count"].sum()
    assert counts["other set", "race"].to_dict() == {UNKNOWN: 400}


def test_counts_are_a_crosstab_of_the_rows():
    one = side("one")
    table = audited(one).counts
    for attribute in one.groups:
        mine = table[table["attribute"] == attribute]
        found = mine.pivot(index="group", columns="label", values="count")
        expected = pd.crosstab(one.rows[attribute].astype("str"), one.rows["label"])
        assert found.loc[expected.index, expected.columns].equals(expected)
        assert found.to_numpy().sum() == len(one.rows)


def test_an_attribute_of_one_group_is_absent_not_zero():
    women = side("one", groups={"gender": ("female", "male"), "race": ("white", "black")})
    women.rows["gender"] = women.rows["gender"].where(women.rows["gender"] != "male", UNKNOWN)
    audit = audited(women)
    document = audit.documents["one"]
    assert document["absent"] == {"gender": "one group alone: female"}
    assert list(document["attributes"]) == ["race"]
    counts = audit.counts.groupby(["attribute", "group"])["count"].sum()
    assert counts["gender", "female"] == (women.rows["gender"] == "female").sum()
    assert document["unknown"]["gender"] == (women.rows["gender"] == UNKNOWN).sum()


def test_every_table_is_written_twice_and_read_back(audit, tmp_path):
    written = write_audit(audit, tmp_path)
    assert {path.name for path in written} == {
        "audit.json",
        *(f"{name}.{suffix}" for name in TABLES for suffix in ("csv", "parquet")),
    }
    json.loads((tmp_path / "audit.json").read_text(), parse_constant=pytest.fail)
    again = load_audit(tmp_path)
    assert again.facts == audit.facts
    assert again.documents == audit.documents
    for field in fields(Audit)[2:]:
        table = getattr(audit, field.name)
        assert_frame_equal(getattr(again, field.name), table, check_dtype=False)
        read = pd.read_csv(tmp_path / "tables" / f"{field.name}.csv", keep_default_na=False)
        assert len(read) == len(table)


def test_a_damaged_audit_is_one_error(audit, tmp_path):
    write_audit(audit, tmp_path)
    (tmp_path / "tables" / "macro.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match="no audit that can be read") as error:
        load_audit(tmp_path)
    assert error.value.where.endswith("macro.parquet")


def test_joint_shares_are_those_of_a_crosstab():
    one = side("one")
    table = audited(one).joint_matrix
    block = table[(table["attribute"] == "expression") & (table["other"] == "race")]
    known = one.rows[one.rows["race"] != UNKNOWN]
    expected = pd.crosstab(known["label"], known["race"].astype("str"), normalize="all")
    found = block.pivot(index="value", columns="other_value", values="share")
    np.testing.assert_allclose(found.loc[expected.index, expected.columns], expected)


def test_combinations_are_age_gender_race_whatever_the_order():
    table = audited(side("one")).four_way
    assert list(table) == ["dataset", "age", "gender", "race", "label", "share"]
    assert table["share"].sum() == pytest.approx(1)
    assert len(table) == 4 * 2 * 6 * 7


def test_the_dataset_itself_can_be_an_attribute():
    groups = {"dataset": ("one", "two"), "gender": ("female", "male")}
    audit = audited(side("merged", groups=groups))
    assert "attribute_dataset" in audit.micro
    assert set(audit.micro["dataset"]) == {"merged"}
    assert "dataset" in audit.documents["merged"]["attributes"]


def test_a_dataset_inferred_in_part_says_by_whom():
    part = side("one", sources={"gender": "annotated and FairFace"})
    document = audited(part).documents["one"]
    assert document["attributes"]["gender"]["inferred"] is True
    assert document["attributes"]["gender"]["source"] == "FairFace, annotated in part"
    assert document["attributes"]["race"]["inferred"] is False


def test_faces_of_one_subject_are_drawn_together():
    one = side("one", samples=60)
    people = one.rows.assign(subject=pd.Series([f"p{n // 20}" for n in range(60)], dtype="str"))
    together: Side = replace(one, rows=people)
    assert audited(one).documents["one"]["resampled_by"] == "sample"
    assert audited(together).documents["one"]["resampled_by"] == "subject"


def test_the_same_seed_gives_the_same_audit():
    one, again = (audited(side("one"), seed=3).documents for _ in range(2))
    assert one == again
    assert one != audited(side("one"), seed=4).documents


def test_no_dataset_knows_anything():
    audit = audit_of([side("bare", known=[])], audited(side("x")).facts)
    assert audit.documents["bare"]["bias"] == {"value": None}
    assert audit.four_way.empty
    assert audit.measures["value"].isna().all()
