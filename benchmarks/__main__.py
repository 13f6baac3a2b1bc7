"""``make bench``: every benchmark after the other, each a process of its own.

``python -m benchmarks NAME …`` runs those named; the ones that train several models run only so.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_LONG = ("intensity",)


def main() -> int:
    wanted = sys.argv[1:]
    failed = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        asked = path.stem in wanted if wanted else path.stem not in _LONG
        if path.stem.startswith("_") or not asked:
            continue
        print(f"\n== {path.stem}", flush=True)
        if subprocess.run(
            [sys.executable, "-m", f"benchmarks.{path.stem}"], check=False
        ).returncode:
            failed.append(path.stem)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
