"""The page as text: what stands in it, that nothing in it is fetched or run, and what it says where something is missing."""

import base64
import hashlib
import html
import json
import re
from importlib.resources import files

import pytest
import yaml

from diverseevol.config import load_config
from diverseevol.errors import ConfigError
from diverseevol.report import samples, write_report
from diverseevol.report.findings import judged_rounds, problems_of
from diverseevol.report.text import script_json, shortened, visible


def page_of(tmp_path, *roots, **options):
    write_report(list(roots), tmp_path / "a page.html", **options)
    return (tmp_path / "a page.html").read_text("utf-8")


def words_of(page):
    """What is read on the page, without tags and scripts."""
    body = re.sub(r"<(script|style).*?</\1>", "", page[page.index("<body") :], flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", body)).split())


@pytest.fixture(scope="module")
def page(whole_run, tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("page"), whole_run)


def test_only_its_own_scripts_may_run_and_nothing_is_fetched(page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe-eval" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts]
    assert re.search(r"script-src ([^;]*);", policy)[1].split() == hashes and len(hashes) == 2
    without_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href|action)\s*=\s*[\"'](?!#|data:,)", without_scripts)
    assert "@import" not in without_scripts and "url(" not in without_scripts
    bundle = (files("diverseevol.report") / "vendor/plotly-basic.min.js").read_bytes()  # an npm bundle, unchanged
    assert hashlib.sha256(bundle).hexdigest() == "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"


def test_what_stands_in_it(page, whole_run):
    words = words_of(page)
    for expected in (
        "strategy k_center · model models/tiny · pool pool.jsonl · seed 0".replace(" · ", ""),
        "14 Samples chosen 23.3% of 60 rows".replace(" ", ""),
        "k_center chose 14 of 60 rows (23.3%) in the rounds 0 to 2.",
        "Held-out loss at 14 samples: k_center 2.25.",
        "Principal components of the shown rows' vectors by the untuned base model. The same places in all rounds.",
        "Won, 7 to 2",
        "Because 3.",
        "Every row could be read and used.",
        f"diverseevol run {whole_run}/config.yaml --out NEW_FOLDER",
        "torch2.13.0",
        "n_init: 6",
        "Lines of random and of the whole pool: diverseevol compare … --strategies NAME --full --out DIR",
    ):
        assert expected in words or expected in words.replace(" ", ""), expected
    data = json.loads(re.search(r'id="page-data">(.*?)</script>', page, re.DOTALL)[1])
    assert (len(data["picks"]), data["samples"]["rows"], data["map"]["rows"]) == (14, list(range(60)), list(range(60)))
    assert data["runs"] == [{"name": "a", "rounds": [[0, [0, 1, 2, 3, 4, 5]], [1, [10, 11, 12, 13]], [2, [20, 21, 22, 23]]]}]
    keys = ["heldout-loss", "heldout-balanced-loss", "verdicts-0", "covering-radius", "vendi-1", "cost", "coverage", "lengths"]
    assert list(data["figures"]) == keys


def test_the_commands_on_it_are_the_ones_that_make_it(page, whole_run, tmp_path):
    config = yaml.safe_load(html.unescape(re.findall("<pre>(.*?)</pre>", page, re.DOTALL)[2]))
    assert config["n_init"] == 6 and not {"versions", "fingerprint"} & set(config)
    load_config(whole_run / "config.yaml", options={"out": "new"})  # the command's file is one that `run` takes
    words = words_of(page_of(tmp_path, whole_run, labels="topic"))
    assert f"diverseevol report {whole_run} --out '{tmp_path}/a page.html' --labels topic" in words


def test_every_part_that_is_missing_says_what_adds_it(made, tmp_path):
    run = made.make_run(tmp_path / "r", rounds=[[0, 1]], losses=None, config={"heldout": None})
    run.plan_file.unlink()
    words = words_of(page_of(tmp_path, run.root))
    assert "k_center chose 2 of 60 rows (3.3%) in one round." in words
    for remedy in (
        "No held-out loss was measured: diverseevol run … pool.holdout=500",
        f"diverseevol score {run.root} --benchmark NAME --opponent base --model JUDGE add them",
        f"Not measured yet: diverseevol diversity {run.root} adds the covering radius",
        f"No vectors were kept: diverseevol diversity {run.root} embeds the pool",
        "Neither labels nor vectors: --labels COLUMN",
        "No plan.json, so nothing was predicted",
        "Not looked for: diverseevol run … pool.decontaminate=[NAME=FILE]",
    ):
        assert remedy in words, remedy


def test_several_runs_and_a_comparison(made, opened, tmp_path):
    one, other = made.make_run(tmp_path / "a", vectors=made.vectors(60)), made.make_run(tmp_path / "b", strategy="random")
    foreign = made.make_run(tmp_path / "c", made.records(61), strategy="margin")
    words = words_of(page_of(tmp_path, one.root, other.root, foreign.root))
    assert "a against b against c 3 runs" in words and "3 runs: k_center, random, margin. Looked at closely is a." in words
    assert "Not on the map, for their pools are others: c" in words
    root = made.make_comparison(tmp_path / "cmp", words=["k_center against random:", "  better \u202ehere"])
    words = words_of(page_of(tmp_path, root))
    assert "cmp: k_center against random against full" in words and "k_center against random: better �here" in words


def test_held_out_rows_and_thinning_are_said(made, opened, tmp_path, monkeypatch):
    run = made.make_run(tmp_path / "r", vectors=made.vectors(60))
    run.heldout_dir.mkdir()
    run.holdout_file.write_text("".join(f"{row}\n" for row in opened(run.root).main.pool.ids[40:45]))
    monkeypatch.setattr(samples, "N_SAMPLES", 50)
    monkeypatch.setattr(samples, "N_TABLE", 5)
    words = words_of(page_of(tmp_path, run.root))
    assert "(23.3%; 5 are held out)" in words
    assert "Shown are 50 of the 60 rows: all picks, what was left out near them, and a random part of the rest." in words
    assert "The table holds 5 of 14 picks, the first of each run" in words
    with pytest.raises(ConfigError, match="--out is '.*report.json', which is no page's name. Give a name that ends in .html."):
        write_report([run.root], tmp_path / "report.json")


def test_hostile_texts_are_escaped_everywhere(hostile_run, tmp_path):
    page = page_of(tmp_path, hostile_run)
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert outside.count("<script") == 1 == outside.count("</script>")
    assert not re.search(r"<(img|svg|iframe|b><b>|a href='java|meta http-equiv='refresh|link rel=stylesheet|base )", outside)
    assert "&lt;script&gt;window.hit = 1" in page
    assert "\u202e" not in page and "\x07" not in page
    assert len(page.encode()) < 4_000_000  # words of 100,000 characters are cut


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("abc\u202edef\u202c", "abc�def�"),
        ("\u200fmark\u2066isolate\u2069\u200b", "�mark�isolate��"),
        ("bell\x07 null\x00 \ud800 half", "bell� null� � half"),
        ("שלום, مرحبا", "שלום, مرحبا"),  # writing from right to left is no attack
    ],
)
def test_what_cannot_be_seen_becomes_visible(text, shown):
    assert visible(text) == shown == shortened(text, 1_000)


def test_long_texts_are_cut_and_say_how_long_they_were():
    assert shortened("a" * 100_000, 50) == "a" * 50 + "… (100,000 characters)"
    assert shortened("a" * 50, 50) == "a" * 50
    assert shortened("a" * 51, 50) == "a" * 50 + "… (51 characters)"
    assert shortened("語" * 30, 50) == "語" * 16 + "… (30 characters)"  # three bytes each, none cut through


def test_json_in_a_script_cannot_end_it():
    value = {"</script><script>alert(1)//": ["<!--", "a & b", "]]>"]}
    text = script_json(value)
    assert not set("<>&") & set(text) and json.loads(text) == value
    assert json.loads(script_json("a\u202eb \ud800")) == "a�b �"
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json(float("nan"))


def test_problems_are_counted_by_kind_with_the_first_of_each(made, opened, tmp_path):
    bad = [{"instruction": "", "input": "x", "output": "y"}, {"foo": 1}, {"foo": "<b>"}]
    run = made.make_run(tmp_path / "r", [*made.records(30), *bad])
    pairs = [
        {"id": f"d{at}", "kept_id": "k", "kind": kind, "similarity": 1.0, "is_dropped": kind == "near"}
        for at, kind in enumerate(["exact", "near", "near"])
    ]
    made.add_lines(run.pool_dir / "duplicates.jsonl", pairs)
    match = {
        "id": "c",
        "benchmark": "vicuna",
        "question_id": 7,
        "kind": "exact",
        "score": 1.0,
        "role": "q",
        "matched": "how do I",
        "is_dropped": True,
    }
    made.add_lines(run.pool_dir / "contamination.jsonl", [match])
    quarantine, duplicates, contamination = problems_of(opened(run.root).main)
    assert quarantine.n == 3 and quarantine.rows[0] == ("2", "unknown format: keys foo", 'row 31: {"foo": 1}')
    assert duplicates.rows == [
        ("2", "near, left out", "d1, like k (1.0)"),
        ("1", "exact, kept (pool.dedup drops them)", "d0, like k (1.0)"),
    ]
    assert contamination.rows == [("1", "a question of vicuna", "c, like question 7: how do I")]
    reasons = [{"source": "s", "row": at, "line": 1, "reason": f"turn {at} has the role 'r{at}'", "text": "t"} for at in range(5)]
    made.add_lines(run.pool_dir / "quarantine.jsonl", reasons)  # they differ by numbers and names alone
    assert next(problems_of(opened(run.root).main)).rows == [("5", "turn 0 has the role 'r0'", "row 0: t")]


def questions(examples):
    return [(score.score, score.opponent_score, record["question"]) for score, record in examples]


def test_best_and_worst_of_the_last_judged_round(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    made.add_verdicts(run, 0, [(10, 1)])
    made.add_verdicts(run, 1, [(5, 5), (9, 2), (2, 8), (6, 4), (7, 8), (8, 3), (1, 9)])
    first, last = judged_rounds(opened(run.root).main)
    assert (first.name, first.at, last.at) == ("vicuna against base", 0, 1)
    assert questions(last.examples()) == [
        (9, 2, "Question 1?"), (8, 3, "Question 5?"), (5, 5, "Question 0?"), (1, 9, "Question 6?"), (2, 8, "Question 2?"),
    ]  # fmt: skip
    assert questions(first.examples()) == [(10, 1, "Question 0?")]  # few questions appear once


def test_which_files_are_verdicts_on_a_round(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    line = json.dumps({"question_id": 1, "order": 0, "score": 8, "opponent_score": 6, "answer": "a", "question": "q"}) + "\n"
    names = ("round-01", "round-01-vs-other-round-02", "round-07-vs-base", "base-vs-gpt", "round-02")
    for name in names:
        file = run.verdicts_file("mine", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("no JSON" if name == "round-02" else line)
    found = list(judged_rounds(opened(run.root).main))
    assert [(judged.name, judged.at) for judged in found] == [("mine against other-round-02", 1), ("mine", 1)]
    ((score, _),) = found[1].examples()
    assert (score.score, score.opponent_score) == (8, 6)
