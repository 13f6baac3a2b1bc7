"""The page in a browser; skipped with a notice where there is no Chromium."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from matplotlib.image import imread

from fer_lab.report.page import write_page
from fer_lab.report.run import Run
from tests.report.browser import browse, needed, width_of, without_policy

pytestmark = needed


@pytest.fixture(scope="module")
def report(whole_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "run"
    shutil.copytree(whole_folder, folder)
    return write_page(Run(folder))


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(report, tmp_path, width):
    # What is folded away counts too.
    text = without_policy(report).replace("<details>", "<details open>")
    assert width_of(text, tmp_path, width) == f"11 images, width {width}"


def test_the_policy_of_the_page_blocks_scripts(report, tmp_path):
    copy = tmp_path / "copy.html"
    script = "<script>document.title = 'it ran'</script></body>"
    copy.write_text(report.read_text().replace("</body>", script))
    assert "<title>it ran</title>" not in browse(tmp_path, copy, "--dump-dom")


def test_the_page_is_drawn(report, tmp_path):
    shot = tmp_path / "shot.png"
    browse(tmp_path, report, f"--screenshot={shot}", "--window-size=1280,2400")
    pixels = imread(shot)
    assert pixels.shape[:2] == (2400, 1280)
    assert np.ptp(pixels[..., :3], axis=(0, 1)).min() > 0.5


def test_the_page_prints(report, tmp_path):
    printed = tmp_path / "page.pdf"
    browse(tmp_path, report, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    assert printed.read_bytes()[:5] == b"%PDF-"
