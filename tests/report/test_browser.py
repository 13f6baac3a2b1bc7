"""The page in a browser; skipped with a notice where there is no Chromium."""

from __future__ import annotations

import html
import re
import shutil
import subprocess

import numpy as np
import pytest
from matplotlib.image import imread

from fer_lab.report.page import write_page
from fer_lab.report.run import Run

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")


def browse(tmp_path, target, *options):
    profile = tmp_path / "profile"
    result = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", "--hide-scrollbars", f"--user-data-dir={profile}"),
            *options,
            target.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    shutil.rmtree(profile, ignore_errors=True)
    return result.stdout


@pytest.fixture(scope="module")
def report(whole_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "run"
    shutil.copytree(whole_folder, folder)
    return write_page(Run(folder))


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(report, tmp_path, width):
    text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", report.read_text())
    # A frame, since a window cannot be as narrow as a phone; what is folded away counts too.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<!doctype html><iframe id=f width={width} height=800 style='border:0' "
        f'srcdoc="{html.escape(text.replace("<details>", "<details open>"))}"></iframe>'
        "<script>onload = () => { const page = document.getElementById('f').contentDocument;"
        "document.title = page.images.length + ' images, width '"
        "+ page.documentElement.scrollWidth; }</script>"
    )
    shown = browse(tmp_path, frame, "--dump-dom", "--virtual-time-budget=5000")
    assert f"<title>11 images, width {width}</title>" in shown


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
