from __future__ import annotations

import io
from itertools import product

import pandas as pd
from rich.console import Console

from fer_lab.data.vocabulary import EXPRESSIONS
from fer_lab.report.check_summary import Findings, check_summary, leaks

RACES = ["white", "black", "asian", "indian", "latinx", "middle_eastern", "unknown"]
LEAKAGE = ["kind", "split", "other", "images"]
DUPLICATES = ["kind", "group", "distance", "across_splits", "split", "label", "dataset", "id"]


def findings(**changed) -> Findings:
    rows = [("train", "all", "all", label, 123_456) for label in EXPRESSIONS]
    rows += [("train", "race", *cell, 45_678) for cell in product(RACES, EXPRESSIONS)]
    parts = {
        "counts": pd.DataFrame(rows, columns=["split", "attribute", "group", "label", "count"]),
        "dropped": pd.DataFrame({"reason": [], "count": []}),
        "duplicates": pd.DataFrame(columns=[*DUPLICATES, "path"]),
        "unreadable": pd.DataFrame({"id": [], "path": [], "reason": []}),
        "unmatched": pd.DataFrame({"kind": [], "place": [], "path": []}),
        "leakage": pd.DataFrame(columns=LEAKAGE),
        "drawn": 0,
        "crowded": 0,
    }
    return Findings(**parts | changed)


def printed(found: Findings) -> str:
    file = io.StringIO()
    Console(file=file, width=80).print(check_summary(found))
    return file.getvalue()


def test_tables_of_a_large_dataset_fit_80_columns_with_every_number_whole():
    text = printed(findings())
    assert max(map(len, text.splitlines())) <= 80
    assert "987,648" in text
    assert text.count("45,678") == len(RACES) * len(EXPRESSIONS)
    assert "…" not in text


def test_nothing_wrong_is_said_too():
    text = printed(findings())
    assert "Nothing was set aside." in text
    assert "No duplicates among 987,648 images." in text


def test_hostile_file_names_steer_neither_markup_nor_terminal():
    bad = pd.DataFrame(
        {"id": ["a"], "path": ["/[red]x[/nothing]\x1b[2J.jpg"], "reason": ["not an image"]}
    )
    text = printed(findings(unreadable=bad))
    assert "[red]x[/nothing]" in text
    assert "\x1b" not in text


def test_only_the_first_unreadable_files_are_shown():
    bad = pd.DataFrame({"id": "a", "path": [f"{n}.jpg" for n in range(8)], "reason": "empty file"})
    text = printed(findings(unreadable=bad))
    assert text.count("empty file") == 5
    assert "and 3 more" in text


def test_annotations_of_no_image_are_shown_with_their_lines():
    lost = pd.DataFrame(
        {"kind": "masks", "place": [f"/m.csv, line {n}" for n in range(7)], "path": "a.png"}
    )
    text = printed(findings(unmatched=lost))
    assert "Annotations of no image" in text
    assert "/m.csv, line 4: a.png" in text
    assert "line 5" not in text
    assert "and 2 more" in text
    assert "Annotations of no image" not in printed(findings())


def test_images_that_were_not_compared_with_all_like_them_are_counted():
    text = " ".join(printed(findings(crowded=4_321)).split())
    assert "4,321 images resemble too many others to be compared with all of them" in text
    assert "resemble" not in printed(findings())


def test_drawn_faces_are_not_called_free_of_duplicates():
    text = printed(findings(drawn=987_648))
    assert "987,648 faces are drawn" in text
    assert "No duplicates" not in text


def test_leakage_is_put_in_words():
    table = pd.DataFrame([("exact", "test", "train", 1), ("near", "val", "train", 2)])
    assert leaks(table.set_axis(LEAKAGE, axis=1)) == [
        "1 test image has the same bytes as a training image",
        "2 validation images have the same look as a training image",
    ]
