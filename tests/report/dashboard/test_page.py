"""The page as a file: complete in itself, all text harmless, links that still lead somewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from fer_lab.report.dashboard.gather import gather
from fer_lab.report.dashboard.page import dashboard, embedded, write_dashboard
from tests.report.dashboard.conftest import EVIL
from tests.report.dashboard.made_up import write_comparable
from tests.report.test_page import Reader


@pytest.fixture(scope="module")
def text(place):
    entries = gather([place / "outputs", place / "multirun"])
    path = write_dashboard(entries, place / "report.html", title="Six <models>", roots=["a&b"])
    return path.read_text(encoding="utf-8")


def facts_of(text):
    block = re.search(r'<script type="application/json" id="facts">(.*?)</script>', text, re.DOTALL)
    return json.loads(block[1])


def test_nothing_is_loaded_from_elsewhere(text):
    reader = Reader(text)
    for tag, attributes in reader.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img"}
        assert not {"src", "srcset", "action", "background"} & set(attributes)
        assert not any(key.startswith("on") for key in attributes)
    assert "url(" not in text
    assert "@import" not in text
    assert re.findall(r"https?://[^\"'\s]+", text) == ["http://www.w3.org/2000/svg"]


def test_the_policy_allows_the_page_s_own_script_alone(text):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy.replace("&#39;", "'")
    assert "unsafe" not in policy.replace("style-src 'unsafe-inline'", "")


def test_markup_in_names_stays_text(text):
    assert EVIL not in text
    assert "it ran'</script>" not in text
    reader = Reader(text)
    assert [tag for tag, _ in reader.tags].count("script") == 2
    assert {"b", "img"} & {tag for tag, _ in reader.tags} == set()
    assert EVIL in reader.text  # the list for those without scripts
    assert EVIL in [run["name"] for run in facts_of(text)["runs"]]
    assert "<title>Six &lt;models&gt;</title>" in text
    assert "below a&amp;b" in text


@pytest.mark.parametrize("string", ["</script>", "<!--", "a&b", "\u2028\u2029", "'\"\\", "ünï 🙂"])
def test_a_block_of_facts_cannot_be_ended_from_within(string):
    block = embedded({string: [string]})
    assert not set("<>&\u2028\u2029") & set(block)
    assert json.loads(block) == {string: [string]}


def test_every_run_is_there_with_its_folder_as_seen_from_the_page(place, text):
    runs = facts_of(text)["runs"]
    found = {str(path.parent) for path in place.rglob("run.json")}
    assert {str(place / run["folder"]) for run in runs} == found
    assert str(place) not in text.replace(json.dumps(str(place))[1:-1] + "/nowhere", "")


def test_links_lead_to_the_runs_pages_from_wherever_the_page_is(tmp_path):
    odd = tmp_path / "runs" / "50% of #1? a:b é"
    write_comparable(odd)
    (odd / "report.html").write_text("its page")
    write_comparable(tmp_path / "runs" / "without", number=1)
    pages = tmp_path / "pages" / "deep"
    path = write_dashboard(gather([tmp_path / "runs"]), pages / "all.html")
    first, second = facts_of(path.read_text())["runs"]
    assert re.fullmatch(r"[\w./%~-]+", first["page"], re.ASCII)
    assert (pages / unquote(first["page"])).read_text() == "its page"
    assert "page" not in second
    assert first["folder"] == "../../runs/50% of #1? a:b é"


def test_positions_name_what_they_should(text):
    facts = facts_of(text)
    for run in facts["runs"]:
        if "set" not in run:
            assert "figures" not in run
            continue
        schema = facts["schemas"][run["schema"]]
        for attribute, groups in run["groups"].items():
            assert len(groups) == len(schema["attributes"][attribute]["groups"])
            assert {len(group) for group in groups} == {3 + len(schema["classes"])}
        assert run["experiment"] < len(facts["experiments"])
        if "regions" in run:
            assert len(run["regions"]["lift"]) == len(facts["regions"]) == 19


def test_a_reader_without_scripts_gets_the_list(text):
    plain = re.search(r"<noscript>(.*?)</noscript>", text, re.DOTALL)[1]
    rows = re.findall(r"<tr><th scope=\"row\">", plain)
    assert len(rows) == len(facts_of(text)["runs"])
    assert '<a href="multirun/2026-03-01/10-00-00/6/report.html">' in plain


def test_no_key_or_password_reaches_the_page(tmp_path):
    for number, word in enumerate(("k1abc", "k2abc")):
        write_comparable(
            tmp_path / str(number),
            number=number,
            settings=f"server: {{api_key: {word}}}\nurl: {{password: {word}}}\n",
            record={"command": f"fer-lab train logger.token={word}", "error": f"token={word}"},
        )
    (tmp_path / "1" / "metrics" / "test.json").write_text("api_key=k3abc")
    text = dashboard(gather([tmp_path]), tmp_path)
    assert not re.search(r"k[123]abc", text)
    assert "token=(hidden)" in text


def test_settings_that_tell_runs_apart_are_shown_without_their_secrets(tmp_path):
    for number, word in enumerate(("k1abc", "k2abc")):
        write_comparable(
            tmp_path / str(number), number=number, settings=f"server: {{api_key: {word}}}\n"
        )
    facts = facts_of(dashboard(gather([tmp_path]), tmp_path))
    assert facts["experiments"] == [
        "baseline_cnn · api_key=(hidden)",
        "baseline_cnn · api_key=(hidden) (2)",
    ]


def test_no_run_at_all_makes_a_page():
    text = dashboard([], Path())
    assert facts_of(text)["runs"] == []
    Reader(text)
