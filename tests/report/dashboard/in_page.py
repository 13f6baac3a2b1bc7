"""The page of all runs in Chromium, with a script run in it."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from tests.report.browser import browse, without_policy

HERE = Path(__file__).parent


def run_in_page(path, tmp_path, script):
    """What ``script`` leaves in ``results``, run at the end of a copy of the page."""
    text = without_policy(path)
    reader = (HERE / "reader.js").read_text()
    ending = f"""<script>
    const results = {{}};
    try {{ {reader} {script} }} catch (error) {{ results.error = String(error.stack); }}
    document.body.replaceChildren(Object.assign(document.createElement("pre"),
      {{ id: "results", textContent: JSON.stringify(results) }}));
    </script></body>"""
    probed = tmp_path / "probed.html"
    probed.write_text(text.replace("</body>", ending))
    shown = browse(tmp_path, probed, "--dump-dom", "--virtual-time-budget=2000")
    found = json.loads(html.unescape(re.search(r'<pre id="results">(.*?)</pre>', shown, re.S)[1]))
    assert "error" not in found, found["error"]
    return found
