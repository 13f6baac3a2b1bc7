"""The page of all runs on screens of any width, on paper, and for who does not see it."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.image import imread

from tests.report.browser import browse, needed, width_of, without_policy
from tests.report.dashboard.in_page import run_in_page

pytestmark = needed


def test_what_can_be_changed_has_a_label_and_tables_have_heads(path, tmp_path):
    found = run_in_page(
        path,
        tmp_path,
        """const label = (each) => each.getAttribute("aria-label")
          || words(each.closest("label")?.querySelector("span") ?? document.createElement("p"));
        results.labels = all("input, select", label);
        results.buttons = all("button:not([hidden])", words);
        results.scopes = all("table th", (each) => each.getAttribute("scope"));
        results.heads = all("table", (each) => each.querySelectorAll("thead th").length);
        results.parts = all("section", (each) => words(each.querySelector("h2")));
        results.regions = all("[role=region]", (each) => each.getAttribute("aria-label"));
        results.pictures = all("#front-chart > svg, #curves-charts .chart > svg",
          (each) => each.getAttribute("aria-label"));
        results.language = document.documentElement.lang;""",
    )
    assert all(found["labels"])
    assert len(found["labels"]) > 20
    assert all(found["buttons"])
    assert set(found["scopes"]) <= {"col", "row", "colgroup"}
    assert all(found["heads"])
    assert all(found["parts"])
    assert len(found["regions"]) == 4
    assert len(found["pictures"]) == 3
    assert all(found["pictures"])
    assert found["language"] == "en"


def test_on_paper_are_all_rows_and_none_of_the_controls(path, facts, tmp_path):
    paper = path.with_name("paper.html")
    paper.write_text(path.read_text().replace("@media print", "@media all"))
    found = run_in_page(
        paper,
        tmp_path,
        """const display = (each) => getComputedStyle(each).display;
        results.hidden = all("form#controls, .tick, table.runs th label, #runs-more", display);
        results.heads = all("table.runs thead button", display);
        results.rows = names().length;
        results.shown = all("table, #front-chart svg", display);""",
    )
    assert set(found["hidden"]) == {"none"}
    assert "none" not in found["heads"] + found["shown"]
    assert found["rows"] == len(facts["runs"])


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(path, tmp_path, width):
    shown = width_of(without_policy(path), tmp_path, width)
    assert shown.endswith(f", width {width}")


def test_the_page_runs_under_its_own_policy_and_no_other_script_does(path, tmp_path):
    other = path.with_name("other.html")
    script = "<script>document.title = 'it ran'</script></body>"
    other.write_text(path.read_text().replace("</body>", script))
    shown = browse(tmp_path, other, "--dump-dom", "--virtual-time-budget=2000")
    assert "<title>Runs</title>" in shown
    assert 'class="mark' in shown
    assert 'id="curves-charts"' in shown


def test_the_page_is_drawn_and_prints(path, tmp_path):
    shot, printed = tmp_path / "shot.png", tmp_path / "page.pdf"
    browse(tmp_path, path, f"--screenshot={shot}", "--window-size=1280,2400")
    pixels = imread(shot)
    assert pixels.shape[:2] == (2400, 1280)
    assert np.ptp(pixels[..., :3], axis=(0, 1)).min() > 0.5
    browse(tmp_path, path, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    assert printed.read_bytes()[:5] == b"%PDF-"
