from __future__ import annotations

import re

import pytest

from fer_lab.bias import MEASURES, ZERO_AT_INDEPENDENCE
from fer_lab.report.audit.figures import write_figures
from fer_lab.report.audit.page import page, write_page
from fer_lab.report.audit.wording import MEANINGS, MEASURE_CODES, MEASURE_TITLES
from tests.report.audited import audited, side
from tests.report.browser import CHROMIUM, browse
from tests.report.test_page import EVIL, Reader

SOURCES = {"gender": "FairFace", "race": "annotated"}


@pytest.fixture(scope="module")
def audit():
    return audited(side("one", sources=SOURCES), side("bare", known=[]), side("merged"))


@pytest.fixture(scope="module")
def written(audit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    figures = write_figures(audit, folder / "figures")
    return write_page(audit, {"name": "an audit", "seed": 1}, figures, folder)


def test_the_page_is_complete_in_itself(written):
    text = written.read_text()
    reader = Reader(text)
    for tag, attributes in reader.tags:
        assert tag not in {"script", "link", "iframe", "object", "base", "form"}
        for key, value in attributes.items():
            assert not key.startswith("on")
            if key == "src":
                assert value.startswith("data:image/png;base64,")
            if key == "href":
                assert value.startswith("#")
    assert not re.search(r"https?://|url\(|@import", text)
    policy = next(a["content"] for t, a in reader.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_links_lead_to_sections_and_pictures_have_a_text(written):
    reader = Reader(written.read_text())
    ids = {attributes.get("id") for _, attributes in reader.tags}
    assert {a["href"][1:] for t, a in reader.tags if t == "a"} <= ids
    images = [attributes for tag, attributes in reader.tags if tag == "img"]
    # Bias, measures, four distributions; both matrices of the two datasets that know something.
    assert len(images) == 2 + 4 + 2 * 2
    assert all(image["alt"] for image in images)


def test_the_numbers_are_those_of_the_facts(written, audit):
    text = Reader(written.read_text()).text
    for dataset in ("one", "merged"):
        document = audit.documents[dataset]
        for part in (document, *document["attributes"].values()):
            for figure in (*part["measures"].values(), part["bias"]):
                assert f"{figure['value']:.3f}" in text
        assert f"{document['bias']['null_mean']:.3f}" in text


def test_what_is_unknown_inferred_or_absent_is_said(written, audit):
    text = Reader(written.read_text()).text
    assert f"{audit.documents['one']['unknown']['gender']} inferred by FairFace" in text
    assert "not audited: not known for any face of bare" in text
    assert "no bias of 0 is claimed" in text


def test_every_measure_is_explained_and_uneven_ones_are_marked(written):
    text = Reader(written.read_text()).text
    assert set(MEASURES) == set(MEANINGS["equation"]) == set(MEANINGS["published"])
    assert {*MEASURES, "bias"} == set(MEASURE_CODES) == set(MEASURE_TITLES)
    assert text.count("0 when label and group are independent") == len(ZERO_AT_INDEPENDENCE)
    assert text.count("Not 0 at independence") == len(MEASURES) - len(ZERO_AT_INDEPENDENCE)
    assert "does not follow from them" in text


def test_the_published_variant_is_called_a_reconstruction():
    audit = audited(side("one", samples=50), variant="published")
    text = Reader(page(audit, {}, {})).text
    assert "not the measures of the equations but a reconstruction" in text
    assert "0 when label and group are independent" not in text


def test_markup_in_names_labels_and_titles_is_text(tmp_path):
    groups = {EVIL: (EVIL, "b $x$", "../../up"), "gender": ("female", "male")}
    evil = side(
        EVIL,
        samples=200,
        classes=("happy", EVIL),
        groups=groups,
        sources={EVIL: EVIL},
        dropped={EVIL: 3},
        notes=(EVIL,),
    )
    path = "/data/<b>bold</b>"
    bare = side("../" + EVIL, samples=20, classes=("happy", EVIL), groups=groups, known=[])
    audit = audited(evil, bare, filter=EVIL, rows="test")
    figures = write_figures(audit, tmp_path / "figures")
    assert {each.parent for each in figures.values()} == {tmp_path / "figures"}
    record = {
        "name": EVIL,
        "notes": EVIL,
        "tags": [EVIL],
        "versions": {EVIL: EVIL},
        "command": f"fer-lab audit dataset.root={path} logger.api_key=k1abc",
    }
    text = write_page(audit, record, figures, tmp_path).read_text()
    reader = Reader(text)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert not any(key.startswith("on") for _, attributes in reader.tags for key in attributes)
    assert reader.text.count(EVIL) > 15
    assert "<b>bold" not in text
    assert "k1abc" not in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_screen(written, tmp_path, width):
    text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", written.read_text())
    (tmp_path / "inside.html").write_text(text.replace("<details>", "<details open>"))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<!doctype html><iframe id=f width={width} height=800 style='border:0'"
        " src=inside.html></iframe><script>onload = () => { const page = "
        "document.getElementById('f').contentDocument; document.title = page.images.length"
        " + ' images, width ' + page.documentElement.scrollWidth; }</script>"
    )
    options = ("--dump-dom", "--virtual-time-budget=5000", "--allow-file-access-from-files")
    shown = browse(tmp_path, frame, *options)
    assert f"<title>10 images, width {width}</title>" in shown
