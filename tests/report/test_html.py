import base64
import hashlib
import html
import json
import re

import pytest
import yaml

from diverseevol.config import load_config
from diverseevol.report.content import gather
from diverseevol.report.html import render


@pytest.fixture(scope="module")
def page(whole_run, opened):
    return render(gather(opened(whole_run)), "out/a page.html")


def test_only_its_own_scripts_may_run(page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts]
    assert re.search(r"script-src ([^;]*);", policy)[1].split() == hashes and len(hashes) == 2
    assert "unsafe-eval" not in policy


def test_nothing_is_fetched(page):
    without_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href|action)\s*=\s*[\"'](?!#|data:,)", without_scripts)
    assert "@import" not in without_scripts and "url(" not in without_scripts


def test_what_stands_in_it(page):
    for words in (
        "<title>a · diverseevol</title>",
        "strategy k_center",
        "Principal components of the shown rows&#39; vectors by the untuned base model",
        "Won, 7 to 2",
        "diverseevol report",
        "&#39;out/a page.html&#39;",
        '<td class="text" dir="auto">2.13.0</td>',
        "n_init: 6",
        "Lines of random and of the whole pool: <code>diverseevol compare … --strategies NAME --full --out DIR</code>",
    ):
        assert words in page, words


def test_the_data_is_json_that_cannot_end_its_script(page):
    text = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.DOTALL)[1]
    data = json.loads(text)
    assert list(data) == ["charts", "map", "samples", "picks", "runs"]
    assert len(data["picks"]) == 14 and len(data["samples"]["asked"]) == 60 and data["runs"] == ["a"]


def test_hostile_texts_are_escaped_everywhere(hostile_run, opened):
    page = render(gather(opened(hostile_run)), "h.html")
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert outside.count("<script") == 1 == outside.count("</script>")
    assert not re.search(r"<(img|svg|iframe|b><b>|a href='java|meta http-equiv='refresh|link rel=stylesheet|base )", outside)
    assert "&lt;script&gt;window.hit = 1" in page
    assert "\u202e" not in page and "\x07" not in page
    assert len(page.encode()) < 4_000_000  # words of 100,000 characters are cut


def preformatted(page):
    """The two commands and the configuration, as they are read on the page."""
    return [html.unescape(text) for text in re.findall("<pre>(.*?)</pre>", page, re.DOTALL)]


def test_how_a_run_was_made(page, whole_run):
    again, _, config = preformatted(page)
    assert again == f"diverseevol run {whole_run}/config.yaml --out NEW_FOLDER"
    stored = yaml.safe_load(config)
    assert stored["n_init"] == 6
    assert not {"versions", "fingerprint"} & set(stored)
    load_config(whole_run / "config.yaml", options={"out": "new"})  # the command's file is one that `run` takes
    for name, value in (("torch", "2.13.0"), ("pool", "abcd"), ("model", "ef01")):
        assert f'<tr><td class="text" dir="auto">{name}</td><td class="text" dir="auto">{value}</td></tr>' in page


def test_names_with_blanks_and_marks(made, opened, tmp_path):
    run = made.make_run(tmp_path / "my run; rm", config={"model": "m\u202e"})
    again, page_again, config = preformatted(render(gather(opened(run.root)), "a b.html"))
    assert again == f"diverseevol run '{run.root}/config.yaml' --out NEW_FOLDER"
    assert page_again == f"diverseevol report '{run.root}' --out 'a b.html'"
    assert "model: m\ufffd" in config or "u202E" in config
    assert "\u202e" not in config


def test_thinning_is_said(made, opened, tmp_path, monkeypatch):
    from diverseevol.report import picks, samples

    run = made.make_run(tmp_path / "r", vectors=made.vectors(60))
    monkeypatch.setattr(samples, "N_POINTS", 50)
    monkeypatch.setattr(picks, "N_TABLE", 5)
    page = render(gather(opened(run.root)), "a.html")
    assert "Shown are 50 of the 60 rows: all picks, what was left out near them, and a random part of the rest." in page
    assert "The table holds 5 of 14 picks, the first of each run (room for 5,000); picks.csv beside the page has all." in page
    monkeypatch.setattr(samples, "N_POINTS", 10)
    assert "There was no room for " in render(gather(opened(run.root)), "a.html")


def test_same_run_same_page(whole_run, opened):
    assert render(gather(opened(whole_run)), "a.html") == render(gather(opened(whole_run)), "a.html")


def test_an_npm_bundle_unchanged():
    from importlib.resources import files

    bundle = (files("diverseevol.report") / "vendor/plotly-basic.min.js").read_bytes()
    assert hashlib.sha256(bundle).hexdigest() == "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"
    assert "MIT License" in (files("diverseevol.report") / "vendor/plotly-LICENSE.txt").read_text()
