"""Chromium, where there is one, and pages opened in it."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
needed = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")


def browse(tmp_path, target, *options):
    """What Chromium prints when it opens ``target``."""
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


def without_policy(page: Path) -> str:
    """A page's text without what keeps scripts of a test from running in it."""
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())


def width_of(text: str, tmp_path: Path, width: int) -> str:
    """Images and width of a page in a frame: a window cannot be as narrow as a phone."""
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<!doctype html><iframe id=f width={width} height=800 style='border:0' "
        f'srcdoc="{html.escape(text)}"></iframe>'
        "<script>onload = () => { const page = document.getElementById('f').contentDocument;"
        "document.title = page.images.length + ' images, width '"
        "+ page.documentElement.scrollWidth; }</script>"
    )
    shown = browse(tmp_path, frame, "--dump-dom", "--virtual-time-budget=5000")
    return re.search(r"<title>(.*?)</title>", shown)[1]
