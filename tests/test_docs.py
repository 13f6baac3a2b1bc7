"""The guides' code runs, block after block, on a tiny copy of the real layout."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.layouts.affectnet import write_csv_release

REPOSITORY = Path(__file__).parents[1]


def blocks(page: Path) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))


def test_the_python_guide_runs(tmp_path):
    root = write_csv_release(tmp_path / "faces").root
    code = blocks(REPOSITORY / "docs" / "python.md").replace("/data/AffectNet", str(root))
    # Workers are spawned: a script needs its guard, which a page for reading leaves out.
    script = tmp_path / "guide.py"
    body = code.replace("\n", "\n    ")
    script.write_text(f"if __name__ == '__main__':\n    {body}\n")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "by chance" in done.stdout


@pytest.mark.parametrize(
    "page", sorted(REPOSITORY.glob("*.md")) + sorted(REPOSITORY.glob("docs/*.md"))
)
def test_every_local_link_leads_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
