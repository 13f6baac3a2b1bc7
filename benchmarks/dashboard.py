"""500 runs on one page: how long it takes to read them, how large the page is, how fast it opens.

Times of the browser are Chromium's own, without a window: from the start of the navigation until
the page is drawn, and of the slowest of several filters until the layout of what is on the screen
is done. Without Chromium only the page is made. The runs are cloned from a few made-up ones.

Targets: open in 2 s, a filter in 50 ms, 5 MB.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from fer_lab.files import write_json
from fer_lab.report.dashboard.gather import gather
from fer_lab.report.dashboard.page import write_dashboard
from tests.report.dashboard.made_up import START, write_comparable
from tests.report.fabricated import GROUPS

RUNS, PATTERNS = 500, 8
MODELS = ("resnet50", "vit_b16", "vgg16", "mobilenet_v1", "xception", "poster", "clip_b16")
SPLITS = ("mixed", "female", "male")
WORDS = ("", "resnet50", "resnet50 female", "s3", "vit|vgg", "nothing at all", "")

# What a reader does: types into the search, turns the table round, looks at other figures. The
# layout is asked for after each, so that the time is that of the whole change.
_PROBE = """
<script>
addEventListener("load", () => {
  const laid = () => document.body.getBoundingClientRect().height;
  laid();
  const times = { open: performance.now(), filter: [], sort: [] };
  const timed = (act) => {
    const began = performance.now();
    act();
    laid();
    return performance.now() - began;
  };
  const search = document.getElementById("search");
  const typed = (words) => {
    search.value = words;
    search.dispatchEvent(new Event("input"));
  };
  for (const words of %s) times.filter.push(timed(() => typed(words)));
  for (const button of document.querySelectorAll("table.runs thead button"))
    times.sort.push(timed(() => button.click()));
  times.all = timed(() => document.getElementById("runs-more").click());
  times.filter_all = timed(() => typed("resnet50"));
  document.title = JSON.stringify(times);
});
</script></body>"""


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_runs(folder / "multirun", RUNS)
        print(f"{RUNS} runs")
        began = time.perf_counter()
        entries = gather([folder / "multirun"])
        read = time.perf_counter()
        page = write_dashboard(entries, folder / "report.html", roots=["multirun"])
        written = time.perf_counter()
        size = page.stat().st_size / 1e6
        print(f"  read      {read - began:6.2f} s")
        print(f"  written   {written - read:6.2f} s")
        print(f"  size      {size:6.2f} MB   target 5: {verdict(size, 5)}", flush=True)
        times = in_browser(page, 900)
        if times is None:
            print("  no Chromium here: not opened")
            return
        opened, slowest = times["open"] / 1000, max(times["filter"])
        print(f"  opened in {opened:6.2f} s    target 2: {verdict(opened, 2)}")
        print(f"  filter    {slowest:6.1f} ms   target 50: {verdict(slowest, 50)}")
        print(f"  sort      {max(times['sort']):6.1f} ms   the slowest column")
        # A window as tall as the page: nothing is left for later.
        whole = in_browser(page, 9000)
        assert whole is not None
        print(f"  filter    {max(whole['filter']):6.1f} ms   with all sections on the screen")
        print(f"  all rows  {whole['all']:6.1f} ms   then a filter {whole['filter_all']:.1f} ms")


def verdict(measured: float, target: float) -> str:
    return "ok" if measured <= target else "ABOVE TARGET"


def make_runs(root: Path, number: int) -> None:
    """Runs of seven models, three splits and many seeds on the same faces; some failed."""
    patterns = [
        write_comparable(
            root.parent / f"pattern-{i}",
            number=i,
            skill=0.7 + 0.02 * i,
            samples=1000,
            groups=GROUPS,
            explained=True,
            epochs=60,
        )
        for i in range(PATTERNS)
    ]
    rng = random.Random(1)
    for position in range(number):
        folder = root / "2026-03-01" / "10-00-00" / str(position)
        _clone(patterns[position % PATTERNS], folder, position, rng)


def _clone(pattern: Path, folder: Path, position: int, rng: random.Random) -> None:
    model, split = MODELS[position % len(MODELS)], SPLITS[position // len(MODELS) % len(SPLITS)]
    seed = 1 + position // (len(MODELS) * len(SPLITS))
    started = START + timedelta(hours=position)
    folder.mkdir(parents=True)
    for name in ("metrics/history.csv", ".hydra/config.yaml", "explanations/summary.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(pattern / name, folder / name)
    text = (folder / ".hydra" / "config.yaml").read_text()
    wanted = f"[{split}]" if split != "mixed" else "null"
    text = text.replace("{gender: null}", f"{{gender: {wanted}}}")
    text = text.replace("name: mixed", f"name: {split}").replace("baseline_cnn", model)
    (folder / ".hydra" / "config.yaml").write_text(text + _padding())
    record = json.loads((pattern / "run.json").read_text())
    record |= {
        "name": f"synthetic-{split}-{model}-s{seed}",
        "seed": seed,
        "choices": {**record["choices"], "model": model, "split": split},
        "started": started.isoformat(),
    }
    if position % 25 == 7:
        record |= {
            "status": "failed",
            "error": "TrainingDivergedError: the loss is NaN",
            "summary": {},
        }
    else:
        facts: dict[str, Any] = json.loads((pattern / "metrics" / "test.json").read_text())
        for what in ("accuracy", "bias"):
            facts[what]["value"] += rng.gauss(0, 0.03)
        write_json(folder / "metrics" / "test.json", facts)
        (folder / "report.html").write_text("a page")
    write_json(folder / "run.json", record)


def _padding() -> str:
    """As many settings as a real configuration has."""
    return "".join(
        f"group_{i}:\n" + "".join(f"  setting_{j}: {j}\n" for j in range(20)) for i in range(15)
    )


def in_browser(page: Path, height: int) -> dict[str, Any] | None:
    """What the page measured of itself; None where there is no Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        return None
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    probed = page.with_name("probed.html")
    probed.write_text(text.replace("</body>", _PROBE % json.dumps(WORDS)))
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ]
    options += [
        f"--user-data-dir={page.parent / 'profile'}",
        f"--window-size=1280,{height}",
        "--dump-dom",
    ]
    shown = subprocess.run(
        [chromium, *options, probed.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = re.search(r"<title>(\{.*?\})</title>", shown)
    if found is None:
        sys.exit("the page did not get as far as measuring itself")
    times: dict[str, Any] = json.loads(found[1].replace("&quot;", '"'))
    return times


if __name__ == "__main__":
    main()
