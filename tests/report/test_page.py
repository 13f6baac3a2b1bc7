from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from importlib import resources

import pytest

from fer_lab.confidential import without_secrets
from fer_lab.files import write_json
from fer_lab.report.page import page, write_page
from fer_lab.report.run import Run
from tests.report.fabricated import write_run

EVIL = '<script>alert("x")</script>\'"><img src=x onerror=alert(1)>{{ 7 * 7 }}'
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Reader(HTMLParser):
    """Tags, attributes and text of a page; fails where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def written(whole_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "run"
    shutil.copytree(whole_folder, folder)
    return write_page(Run(folder)).read_text(encoding="utf-8")


def test_the_page_is_complete_in_itself(written):
    reader = Reader(written)
    for tag, attributes in reader.tags:
        assert tag not in {"script", "link", "iframe", "object", "base", "form"}
        for key, value in attributes.items():
            assert not key.startswith("on")
            if key == "src":
                assert value.startswith("data:image/png;base64,")
            if key == "href":
                assert value.startswith("#")
    assert "url(" not in written
    assert "@import" not in written
    assert not re.search(r"https?://", written)
    policy = next(a["content"] for t, a in reader.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_links_lead_to_sections_of_the_page(written):
    reader = Reader(written)
    ids = {attributes.get("id") for _, attributes in reader.tags}
    assert {a["href"][1:] for t, a in reader.tags if t == "a"} <= ids


def test_pictures_are_whole_and_have_a_text_in_their_place(written):
    images = [attributes for tag, attributes in Reader(written).tags if tag == "img"]
    assert len(images) == 11
    for image in images:
        assert base64.b64decode(image["src"].partition(",")[2])[:8] == b"\x89PNG\r\n\x1a\n"
        assert image["alt"]


def test_numbers_on_the_page_are_those_of_the_facts(written, run):
    text = Reader(written).text
    facts = run.metrics
    for value in (
        facts["accuracy"]["value"],
        facts["bias"]["low"],
        facts["worst_group"]["accuracy"],
        *(gap["value"] for gap in facts["attributes"]["race"]["metrics"].values()),
        *(gap["null_p95"] for gap in facts["attributes"]["age"]["metrics"].values()),
        *(facts["per_class"]["fear"][key] for key in ("precision", "recall", "f1")),
        *(part["accuracy"] for part in facts["intersections"]["gender×race"]["groups"].values()),
        run.explanation["regions"]["mouth"]["ior"],
        run.explanation["by_group"]["gender"]["male"]["nose"]["ior"],
    ):
        assert f"{value:.3f}" in text
    assert "inferred by fairface" in text
    assert "unreadable image" in text
    assert "max_epochs: 8" in text
    assert "In no face: necklace." in text


def test_the_last_row_of_a_confusion_counts_what_is_predicted(written, run):
    expected = run.predictions["prediction"].value_counts()
    foot = re.search(r"<tfoot>.*?</tfoot>", written).group()
    cells = [int(cell.replace(",", "")) for cell in re.findall(r"<td>([\d,]+)</td>", foot)]
    assert cells == [*(expected[c] for c in run.metrics["classes"]), len(run.predictions)]


def test_cells_left_out_are_listed(tmp_path):
    run = Run(write_run(tmp_path / "run", samples=150, explained=False))
    cell = run.metrics["attributes"]["race"]["metrics"]["equal_opportunity"]["left_out"][0]
    text = Reader(page(run)).text
    assert f"{cell['group']} × {cell['expression']} ({cell['count']})" in text
    assert "too few faces: a rate needs 30" in text


def test_markup_in_names_classes_errors_and_paths_is_text(tmp_path):
    folder = write_run(
        tmp_path / "a <b>bold</b> & \"quoted' run",
        classes=("happy", EVIL),
        groups={EVIL: (EVIL, "b"), "gender": ("female", "male")},
        samples=300,
        record={
            "name": EVIL,
            "status": "failed",
            "error": EVIL,
            "tags": [EVIL],
            "notes": EVIL,
            "command": EVIL,
            "choices": {EVIL: EVIL, "dataset": [EVIL]},
            "versions": {EVIL: EVIL},
            "host": EVIL,
            "data": {"train": 1, "dropped": {EVIL: 2}},
            "wandb": {"id": EVIL},
        },
    )
    (folder / ".hydra" / "config.yaml").write_text(f"name: {EVIL}</code></pre>\n")
    summary = json.loads((folder / "explanations" / "summary.json").read_text())
    summary |= {"method": EVIL, "layer": EVIL, "target": EVIL}
    summary["regions"][EVIL] = summary["regions"]["nose"]
    write_json(folder / "explanations" / "summary.json", summary)
    text = write_page(Run(folder)).read_text()
    reader = Reader(text)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert not any(key.startswith("on") for _, attributes in reader.tags for key in attributes)
    assert all(
        attributes["src"].startswith("data:") for tag, attributes in reader.tags if tag == "img"
    )
    assert reader.text.count(EVIL) > 20
    assert "{{ 7 * 7 }}" in reader.text
    assert "bold</b>" not in text
    assert "Nothing to show" not in text


def test_a_failed_run_shows_its_error_and_how_to_go_on(tmp_path):
    record = {"status": "failed", "error": "the loss is NaN in epoch 3, batch 17"}
    folder = write_run(tmp_path / "a run", splits=(), explained=False, epochs=0, record=record)
    text = Reader(write_page(Run(folder)).read_text()).text
    assert "the loss is NaN in epoch 3, batch 17" in text
    assert f"fer-lab train 'resume={folder}'" in text
    assert text.count("the run ended before a validation or test set was evaluated") == 4
    assert "this run has no explanations/summary.json" in text


def test_without_a_test_set_the_page_is_about_validation(tmp_path):
    run = Run(write_run(tmp_path / "run", splits=("val",), explained=False, samples=200))
    text = Reader(page(run)).text
    assert "Validation set, 200 faces" in text
    assert "Test set" not in text


def test_a_collapsed_model_is_called_so(tmp_path):
    run = Run(write_run(tmp_path / "run", collapsed=True, explained=False, samples=200))
    assert "Collapsed: the model predicts two classes or fewer" in Reader(page(run)).text


@pytest.mark.parametrize(
    "damage",
    [
        {"accuracy": None, "attributes": None},
        {"accuracy": 3, "per_class": [], "confusion": [[1, 2]], "intersections": 5},
        {"attributes": {"gender": {"groups": {"female": {}}, "metrics": {}, "bias": {}}}},
    ],
)
def test_facts_of_another_form_cost_no_more_than_their_sections(tmp_path, damage):
    folder = write_run(tmp_path / "run", samples=200)
    path = folder / "metrics" / "test.json"
    write_json(path, json.loads(path.read_text()) | damage)
    text = Reader(page(Run(folder))).text
    assert "the file has another form" in text
    assert "HiResCAM at features.8" in text
    assert "max_epochs: 8" in text


def test_the_least_record_makes_a_page(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "run.json", {"status": "failed"})
    text = Reader(write_page(Run(folder)).read_text()).text
    assert "this run has no .hydra/config.yaml" in text


def test_given_figures_are_shown_and_no_others(whole_folder, tmp_path):
    shutil.copytree(whole_folder, tmp_path / "run")
    (tmp_path / "run" / "figures").mkdir()
    figure = tmp_path / "run" / "figures" / "prototype.png"
    figure.write_bytes(b"\x89PNG\r\n\x1a\n")
    for figures in ([figure], None):
        text = write_page(Run(tmp_path / "run"), figures).read_text()
        assert text.count("<img") == 1
    assert "<img" not in write_page(Run(tmp_path / "run"), []).read_text()


def test_no_key_or_password_reaches_the_page(tmp_path):
    record = {"command": "fer-lab train logger.api_key=k1abc", "error": "password: 'k2 abc'"}
    folder = write_run(tmp_path / "run", splits=(), explained=False, epochs=0, record=record)
    (folder / ".hydra" / "config.yaml").write_text(
        "wandb:\n  api_key: k3abc\n  token: null\nurl: {password: k4abc, user: me}\n"
    )
    text = page(Run(folder))
    assert not re.search(r"k[1-4][ a]", text)
    assert "token: null" in text
    assert "user: me" in text
    assert without_secrets("num_tokens: 5") == "num_tokens: 5"


def test_templates_are_part_of_the_package():
    templates = resources.files("fer_lab.report").joinpath("templates")
    assert {entry.name for entry in templates.iterdir()} == {
        *("asked.html.j2", "audit.html.j2", "heatmaps.html.j2", "page.css", "run.html.j2"),
        *("sections.html.j2", "dashboard"),
    }
