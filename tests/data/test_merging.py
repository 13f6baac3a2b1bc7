from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from fer_lab.configuration import refuse_shared_root
from fer_lab.data.face_datamodule import FaceDataModule
from fer_lab.data.manifest import assets, group_values, merge, renamed, validate
from fer_lab.data.merging import harmonised
from fer_lab.data.sources import SOURCES, read
from fer_lab.data.splitting.partition import partition
from fer_lab.data.splitting.split_options import Split
from fer_lab.data.vocabulary import RACES
from fer_lab.errors import ConfigError, DataError
from tests.layouts.affectnet import write_csv_release
from tests.layouts.jaffe import write_jaffe
from tests.layouts.rafdb import write_list_form

STUDY = ["0-15", "16-32", "33-53", "54+"]
SAME = {"gender": {}}


def table(dataset: str, **columns: Any) -> pd.DataFrame:
    rows = max(len(value) for value in columns.values())
    frame = {
        "id": [f"{dataset}/{number}" for number in range(rows)],
        "dataset": dataset,
        "path": "x.jpg",
        "label": "happy",
        "split": "train",
    }
    sources = {f"{name}_source": "annotated" for name in columns if name in ("age", "race")}
    return validate(pd.DataFrame(frame | sources | columns))


RAF = table("rafdb", race=["caucasian", "african_american", "asian", "caucasian"])
FAIR = table("fairface", race=["white", "black", "east_asian", "latinx", "southeast_asian"])
TO_WHITE = {"caucasian": "white", "african_american": "black", "asian": "asian"}
TO_ASIAN = {
    "white": "white",
    "black": "black",
    "east_asian": "asian",
    "southeast_asian": "asian",
}


def test_different_groups_are_an_error_without_a_table_and_the_error_names_it():
    with pytest.raises(DataError, match=r"race has different groups(.|\n)*data.harmonise"):
        harmonised([RAF, FAIR])


def test_tables_bring_datasets_to_common_groups_and_count_what_has_no_place():
    merged, notes = harmonised([RAF, FAIR], {"race": {"rafdb": TO_WHITE, "fairface": TO_ASIAN}})
    assert merged["race"].tolist() == [
        *("white", "black", "asian", "white"),
        *("white", "black", "asian", "unknown", "asian"),
    ]
    assert group_values(merged, "race") == ("white", "black", "asian")
    assert merged["dataset"].tolist() == ["rafdb"] * 4 + ["fairface"] * 5
    assert notes == ["race of fairface becomes unknown where it was latinx (1)"]
    assert RAF["race"].tolist() == ["caucasian", "african_american", "asian", "caucasian"]


def test_a_dataset_without_a_table_keeps_its_groups_and_others_lead_into_them():
    white = table("w", race=["white", "black", "asian", "indian"])
    to_white = {"caucasian": "white", "asian": "asian"}
    merged, notes = harmonised([RAF, white], {"race": {"rafdb": to_white}})
    assert group_values(merged, "race") == RACES
    assert merged["race"].tolist()[:4] == ["white", "unknown", "asian", "white"]
    assert notes == ["race of rafdb becomes unknown where it was african_american (1)"]
    with pytest.raises(ConfigError, match=r"'wite' is no group of w(.|\n)*did you mean 'white'"):
        harmonised([RAF, white], {"race": {"rafdb": {"caucasian": "wite"}}})


def test_two_datasets_without_tables_must_agree():
    with pytest.raises(DataError, match="different groups in datasets without a table"):
        harmonised(
            [RAF, FAIR, table("x", race=["a", "b"])], {"race": {"rafdb": {"caucasian": "white"}}}
        )


def test_a_table_settles_different_sources_of_one_attribute():
    inferred = FAIR.assign(race_source="fairface_resnet34")
    tables = {"race": {"rafdb": TO_WHITE, "fairface": TO_ASIAN}}
    merged, _ = harmonised([RAF, inferred], tables)
    assert set(merged["race_source"]) == {"annotated", "fairface_resnet34"}


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"race": {"rafdb": {"caucasan": "white"}}}, "never 'caucasan'; did you mean 'caucasian'"),
        ({"race": {"rafbd": {}}}, "no dataset 'rafbd'; did you mean 'rafdb'"),
        ({"race": ["white"]}, "only ages are cut"),
        ({"race": {"rafdb": ["white"]}}, "only ages are cut"),
        ({"race": {"rafdb": 3}}, "no table of groups by code"),
        ({"race": "white"}, "harmonised by no table"),
        ({"rage": {"rafdb": {}}}, "did you mean 'age'"),
        ({"age": ["young", "old"]}, "no age groups one after the other"),
        ({"age": ["0-15", "10-30"]}, "no age groups one after the other"),
        ({"age": []}, "no age groups one after the other"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(tables, expected):
    with pytest.raises(ConfigError, match=expected):
        harmonised([RAF], tables)


def test_a_table_may_speak_of_datasets_that_are_not_here():
    tables = {"race": {"rafdb": TO_WHITE, "fairface": TO_ASIAN}}
    merged, _ = harmonised([RAF], tables, datasets=("rafdb", "fairface"))
    assert merged["race"].tolist() == ["white", "black", "asian", "white"]


def test_years_are_cut_to_groups_at_their_edges():
    years = [0, 15, 15.9, 16, 32, 33, 53, 54, 90, np.nan]
    frame = table("a", age_years=years)
    merged, _ = harmonised([frame], {"age": STUDY})
    assert merged["age"].tolist() == [
        *("0-15", "0-15", "0-15", "16-32", "16-32"),
        *("33-53", "33-53", "54+", "54+", "unknown"),
    ]
    assert merged["age_source"].tolist() == ["annotated"] * 9 + ["none"]


def test_age_codes_that_do_not_nest_become_unknown_and_are_counted():
    raf = table("rafdb", age=["0-3", "4-19", "20-39", "40-69", "70+", "20-39"])
    fair = table("fairface", age=["3-9", "10-19", "50-59", "60-69", "more than 70"])
    merged, notes = harmonised([raf, fair], {"age": STUDY})
    assert merged["age"].tolist() == [
        *("0-15", "unknown", "unknown", "unknown", "54+", "unknown"),
        *("0-15", "unknown", "unknown", "54+", "54+"),
    ]
    assert group_values(merged, "age") == tuple(STUDY)
    assert notes == [
        "age of rafdb becomes unknown where it was 20-39 (2), 4-19 (1), 40-69 (1)",
        "age of fairface becomes unknown where it was 10-19 (1), 50-59 (1)",
    ]


def test_years_go_before_codes():
    frame = table("a", age=["20-39", "20-39", "0-3"], age_years=[20, np.nan, np.nan])
    merged, notes = harmonised([frame], {"age": STUDY})
    assert merged["age"].tolist() == ["16-32", "unknown", "0-15"]
    assert notes == ["age of a becomes unknown where it was 20-39 (1)"]


def test_other_categorical_attributes_are_harmonised_by_their_short_name():
    one = table("one", attribute_pose=["left", "front"])
    two = table("two", attribute_pose=["l", "f"])
    with pytest.raises(DataError, match="pose has different groups"):
        harmonised([one, two])
    merged, _ = harmonised([one, two], {"pose": {"two": {"l": "left", "f": "front"}}})
    assert merged["attribute_pose"].tolist() == ["left", "front", "left", "front"]


def test_a_dataset_that_knows_no_race_adds_no_groups_of_its_own():
    plain = table("plain", label=["happy", "sad"])
    merged, _ = harmonised([plain, RAF])
    assert set(group_values(merged, "race")) == {"caucasian", "african_american", "asian"}
    assert merged["race"].tolist()[:2] == ["unknown", "unknown"]


def test_two_synthetic_datasets_of_different_faces_become_one():
    parts = [
        read("synthetic", train=30, val=10, test=10, seed=seed, dataset=name)
        for name, seed in (("first", 1), ("second", 2))
    ]
    merged, notes = harmonised(parts, {"age": ["0-32", "33+"]})
    assert merged["dataset"].value_counts().to_dict() == {"first": 50, "second": 50}
    expected = np.where(merged["age_years"] < 33, "0-32", "33+")
    assert merged["age"].tolist() == expected.tolist()
    assert set(assets(merged).readers) == {"first", "second"}
    assert notes == []


def test_one_reader_gives_several_datasets_each_under_its_own_name(tmp_path):
    small = {"source": "synthetic", "train": 30, "val": 10, "test": 10}
    data = FaceDataModule(
        {
            "studio": small | {"seed": 1, "appearance": {"grey": True}},
            "street": small | {"seed": 2},
        },
        image_size=48,
        cache_dir=tmp_path,
        num_workers=0,
        target="dataset",
        attributes=["gender"],
        harmonise=SAME,
    )
    data.setup()
    assert data.classes == ("studio", "street")
    assert data.manifest["id"].str.partition("/")[0].tolist() == data.manifest["dataset"].tolist()
    assert data.manifest["id"].is_unique
    batch = next(iter(data.test_dataloader()))
    grey = (batch["image"].amax(dim=1) == batch["image"].amin(dim=1)).all(dim=(1, 2))
    assert torch.equal(grey, batch["label"] == data.classes.index("studio"))


def test_the_same_rows_under_two_names_are_refused(tmp_path):
    twice = {"studio": {"source": "synthetic", "train": 30}, "synthetic": {"train": 30}}
    with pytest.raises(ConfigError, match="studio and synthetic are the same rows"):
        FaceDataModule(twice, image_size=48, cache_dir=tmp_path).setup()


def test_a_renamed_dataset_keeps_its_pixels_fingerprint_roots_and_other_names(sources):
    before = read("affectnet", **sources["affectnet"])
    after = renamed(before, "faces")
    assert set(after["dataset"]) == {"faces"}
    assert after["id"].tolist() == [f"faces/{name.split('/', 1)[1]}" for name in before["id"]]
    assert after["path"].tolist() == before["path"].tolist()
    assert list(assets(after).roots) == ["faces"]
    assert list(assets(before).roots) == ["affectnet"]
    with pytest.raises(DataError, match="2 datasets cannot have one name"):
        renamed(merge([before, after]), "all")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    root = tmp_path_factory.mktemp("affectnet")
    write_csv_release(root)
    return {
        "affectnet": {"root": root},
        "synthetic": {"train": 80, "val": 20, "test": 40, "dataset": "drawn"},
    }


def ready(sources: dict[str, dict[str, Any]], cache: Path, **options: Any) -> FaceDataModule:
    options = {"harmonise": SAME} | options
    data = FaceDataModule(sources, image_size=48, cache_dir=cache, num_workers=0, **options)
    data.setup()
    return data


def test_files_and_drawn_faces_train_as_one_dataset(sources, tmp_path):
    data = ready(
        sources,
        tmp_path,
        attributes=["gender", "dataset"],
    )
    rows = data.manifest
    assert set(rows["dataset"].iloc[data.train_rows]) == {"affectnet", "drawn"}
    assert set(rows["dataset"].iloc[data.test_rows]) == {"affectnet", "drawn"}
    assert data.groups["dataset"] == ("affectnet", "drawn")
    assert data.dropped["label contempt not among the classes"] > 0
    batch = next(iter(data.test_dataloader()))
    assert batch["group"]["dataset"].unique().tolist() == [0, 1]


@pytest.mark.parametrize(("classes", "count"), [(6, 6), (7, 7), (8, 8)])
def test_classes_are_chosen_and_what_is_left_out_is_counted(sources, tmp_path, classes, count):
    every = ready(sources, tmp_path, classes=8)
    data = ready(sources, tmp_path, classes=classes)
    assert len(data.classes) == count
    labels = every.manifest["label"].value_counts()
    lacking = {
        f"label {name} not among the classes": int(labels[name])
        for name in set(labels.index) - set(data.classes)
    }
    found = {name: n for name, n in data.dropped.items() if name.endswith("among the classes")}
    assert found == lacking
    assert len(data.manifest) == labels.sum() - sum(lacking.values())


def test_folds_reach_the_manifest_of_a_run_and_the_log(sources, tmp_path, caplog):
    with caplog.at_level("INFO"):
        data = ready(sources, tmp_path, split={"folds": 4, "fold": 1})
    assert set(data.manifest["fold"]) == {0, 1, 2, 3}
    assert set(data.manifest["fold"].iloc[data.test_rows]) == {1}
    assert 1 not in set(data.manifest["fold"].iloc[data.train_rows])
    assert any("fold 1 of 4 is the test" in message for message in caplog.messages)


def test_one_of_two_datasets_is_left_out(sources, tmp_path):
    data = ready(sources, tmp_path, split={"leave_out": "affectnet"})
    rows = data.manifest["dataset"]
    assert set(rows.iloc[data.test_rows]) == {"affectnet"}
    assert set(rows.iloc[data.train_rows]) == set(rows.iloc[data.val_rows]) == {"drawn"}
    assert data.dropped["leave_out=affectnet has no use for drawn: test rows"] == 40


@pytest.mark.parametrize("split", [{}, {"leave_out": "affectnet"}, {"folds": 3}])
def test_every_row_is_kept_or_counted_once(sources, tmp_path, split):
    data = ready(sources, tmp_path, classes=6, split=split)
    parts = [read(name, **options) for name, options in sources.items()]
    before = Counter()
    for part in parts:
        before.update(assets(part).dropped)
    counted = sum(data.dropped.values()) - sum(before.values())
    assert len(data.unreadable) > 0
    assert counted + len(data.manifest) == sum(len(part) for part in parts)


def composed(*overrides: str):
    from hydra import compose, initialize_config_dir

    from fer_lab.configuration import config_directory, register_resolvers

    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True)


def test_a_list_of_datasets_composes_in_any_order_with_a_root_for_each():
    for names in (("affectnet", "synthetic"), ("synthetic", "affectnet")):
        cfg = composed(f"dataset=[{','.join(names)}]", "dataset.sources.affectnet.root=/faces")
        assert cfg.dataset.name == "+".join(names)
        assert list(cfg.data.sources) == list(names)
        assert cfg.data.sources.affectnet.root == "/faces"
        refuse_shared_root(cfg)


def test_several_datasets_of_one_reader_compose():
    names = ("studio", "street")
    cfg = composed(
        "~dataset.sources.synthetic",
        *(f"+dataset.sources.{name}.source=synthetic" for name in names),
        *(f"+dataset.sources.{name}.root=${{dataset.root}}" for name in names),
    )
    assert cfg.dataset.name == "studio+street"
    refuse_shared_root(cfg)


def test_datasets_that_would_share_a_root_are_refused_with_the_options_to_set():
    with pytest.raises(ConfigError, match=r"dataset\.sources\.affectnet\.root=FOLDER"):
        refuse_shared_root(composed("dataset=[affectnet,synthetic]"))
    refuse_shared_root(composed("dataset=affectnet", "dataset.root=/faces"))


def test_tables_are_written_on_the_command_line():
    cfg = composed(
        "data.harmonise={age:[0-15,16-32,33-53,54+],race:{rafdb:{caucasian:white}}}",
        "split=female",
        "split.balance=[gender,label]",
        "split.folds=5",
        "split.fold=3",
    )
    assert OmegaConf.to_container(cfg.data.harmonise) == {
        "age": STUDY,
        "race": {"rafdb": {"caucasian": "white"}},
    }
    assert (cfg.data.split.folds, cfg.data.split.fold) == (5, 3)
    assert cfg.data.split.balance == ["gender", "label"]


def test_published_datasets_are_merged_with_their_splits_and_demographics(sources, tmp_path):
    write_list_form(tmp_path / "rafdb", train=60, test=20)
    write_jaffe(tmp_path / "jaffe", people=10)
    several = {
        "affectnet": sources["affectnet"],
        "rafdb": {"root": tmp_path / "rafdb"},
        "jaffe": {"root": tmp_path / "jaffe"},
        "synthetic": sources["synthetic"],
    }
    tables = {
        "gender": {},
        "race": {"rafdb": {"caucasian": "white", "african_american": "black", "asian": "asian"}},
        "age": STUDY,
    }
    parts = [read(name, **options) for name, options in several.items()]
    merged, notes = harmonised(parts, tables, datasets=tuple(SOURCES))
    assert len(merged) == sum(len(part) for part in parts)
    assert list(merged["dataset"].unique()) == ["affectnet", "rafdb", "jaffe", "drawn"]
    assert group_values(merged, "age") == tuple(STUDY)
    raf = pd.crosstab(parts[1]["age"].to_numpy(), merged["age"][len(parts[0]) :][: len(parts[1])])
    for code, group in {"0-3": "0-15", "70+": "54+", "4-19": "unknown"}.items():
        assert raf.loc[code, group] == raf.loc[code].sum() > 0
    assert any("age of rafdb becomes unknown" in note and "4-19" in note for note in notes)

    divided = partition(merged, Split()).manifest
    published = {name: list(part["split"]) for name, part in zip(several, parts, strict=True)}
    assert "test" not in published["jaffe"]
    jaffe = divided[divided["dataset"] == "jaffe"]
    assert set(jaffe["split"]) == {"train", "val", "test"}
    assert (jaffe.groupby("subject")["split"].nunique() == 1).all()
    raf_split = divided["split"][divided["dataset"] == "rafdb"].astype(str).to_numpy()
    assert (np.asarray(published["rafdb"]) == "test").tolist() == (raf_split == "test").tolist()
