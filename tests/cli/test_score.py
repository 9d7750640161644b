import json

import numpy as np
import pytest
from typer.testing import CliRunner

from diverseevol.cli.app import app
from diverseevol.cli.evaluate import problem_lines, short_names
from diverseevol.errors import EvaluationError
from diverseevol.evaluation import bootstrap
from diverseevol.evaluation.verdict_files import Problem


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(bootstrap, "N_DRAWS", 200)


def call(*words):
    ended = CliRunner().invoke(app, ["score", *map(str, words)])
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended


@pytest.fixture
def files(tmp_path):
    rng, found = np.random.default_rng(0), []
    for round_index in (2, 10):
        scores = np.clip(rng.integers(3, 8, (20, 2, 2)) + np.array([round_index // 3, 2]), 1, 10).tolist()
        lines = [
            {
                "question_id": q,
                "order": o,
                "score": s,
                "opponent_score": t,
                "answer": "x" * (10 * s + q),
                "opponent_answer": "y" * 60,
            }
            for q, both in enumerate(scores)
            for o, (s, t) in enumerate(both)
        ]
        file = tmp_path / "runs" / f"rd_{round_index}.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        found.append(file)
    return found


def test_json_holds_everything(files):
    report = json.loads(call(*files, "--json").stdout)
    first = report["files"][0]
    lines = [json.loads(line) for line in files[0].read_text().splitlines()]
    rs = 100 * sum(line["score"] for line in lines) / sum(line["opponent_score"] for line in lines)
    assert first["rs"] == pytest.approx(rs)
    assert first["interval"]["low"] < rs < first["interval"]["high"]
    assert set(first["tally"]) == {"wins", "ties", "losses", "win_rate", "share_changed"}
    assert set(first["orders"]) == {"first", "second", "effect", "interval"}
    assert len(first["questions"]) == 20
    assert set(first["questions"][0]) == {"question_id", "score", "opponent_score", "rs", "outcome", "is_changed"}
    assert first["lengths"]["controlled"] > 0
    assert report["differences"][0]["finding"] in ("better", "worse", "no difference shown")
    assert report["length_correlation"] is None


def test_text_is_a_table_by_round(files):
    report = json.loads(call(files[0].parent, "--json").stdout)
    lines = [line.split() for line in call(files[0].parent).stdout.splitlines()]
    head = next(at for at, line in enumerate(lines) if line[:3] == ["file", "RS", "95"])
    for cells, score in zip(lines[head + 2 : head + 4], report["files"], strict=True):
        low, high = score["interval"].values()
        assert cells[1:4] == [f"{score['rs']:.2f}", f"{low:.2f}…{high:.2f}", "20"]
        tally = score["tally"]
        assert cells[4] == f"{tally['wins']}/{tally['ties']}/{tally['losses']}"
        assert cells[-1] == f"{tally['share_changed']:.0%}"
    assert [lines[head + 2][0], lines[head + 3][0]] == ["rd_2", "rd_10"]
    lengths = next(at for at, line in enumerate(lines) if line[:2] == ["file", "length"])
    shown = lines[lengths + 2]
    assert shown[1] == f"{report['files'][0]['lengths']['mean']:.0f}"
    assert f"{report['files'][0]['lengths']['controlled']:.2f}" in shown


def test_several_files_without_a_difference_say_how_to_take_one(files):
    hint = "No difference was taken: --against FILE takes every file's from one; two files, or two folders, need nothing further."
    assert hint in call(files[0].parent).stdout.splitlines()
    assert hint not in call(*files).stdout.splitlines()
    assert hint not in call(files[0]).stdout.splitlines()


def test_two_files_are_compared_in_words(files):
    gap = json.loads(call(*files, "--json").stdout)["differences"][0]
    line = call(*files).stdout.splitlines()[-1]
    assert line.startswith(f"rd_2 - rd_10: {gap['value']:+.2f} [")
    assert line.endswith(f"on 20 questions: {gap['finding']}")
    assert call(*files, "--against", files[0]).stdout.splitlines()[-1].startswith("rd_10 - rd_2: ")


def test_what_does_not_count_is_listed(files, tmp_path):
    lines = files[0].read_text().splitlines()
    lines[1] = lines[1].replace('"score": ', '"score": 7', 1)
    files[0].write_text("\n".join(lines[:-1]) + "\n{broken\n")
    text = call(files[0], "--n-questions", 80).stdout
    assert "19 of 20" not in text and "18 of 20" in text  # two questions are incomplete
    for part in (
        "1 × off scale",
        "question 0, ours second: line 2: score 7",
        "1 × missing order",
        "question 19, ours second",
        "1 × bad line",
    ):
        assert part in text
    complete = json.loads(call(files[0], "--json").stdout)["files"][0]["rs_complete"]
    assert f"rd_2: RS over the 18 questions that count in every order: {complete:.2f}\n" in text
    assert "1 × missing question\n    20 questions, expected 80" in text


def test_the_scale_is_an_option(files):
    lines = files[0].read_text().replace('"score": 5', '"score": 15')
    files[0].write_text(lines)
    assert "off scale" in call(files[0]).stdout
    assert "off scale" not in call(files[0], "--scale", 0, 20).stdout
    with pytest.raises(EvaluationError, match="Give the lowest score first"):
        call(files[0], "--scale", 10, 1)


def test_answers_fill_in_lengths(files, tmp_path):
    bare = tmp_path / "bare.jsonl"
    lines = [json.loads(line) for line in files[0].read_text().splitlines()]
    bare.write_text("".join(json.dumps({key: line[key] for key in line if "answer" not in key}) + "\n" for line in lines))
    for side, letter in (("ours", "x"), ("theirs", "y")):
        rows = [{"question_id": q, "answer": letter * (20 + q)} for q in range(20)]
        (tmp_path / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "LC RS" not in call(bare).stdout
    text = call(bare, "--answers", tmp_path / "ours.jsonl", "--opponent-answers", tmp_path / "theirs.jsonl").stdout
    assert "LC RS" in text


def test_names_lose_what_all_share(tmp_path, monkeypatch):
    assert short_names(["v/a/rd_1.jsonl", "v/b/rd_1.jsonl.gz"]) == {"v/a/rd_1.jsonl": "a/rd_1", "v/b/rd_1.jsonl.gz": "b/rd_1"}
    assert short_names(["/x/y.jsonl"]) == {"/x/y.jsonl": "y"}
    assert short_names([]) == {}
    monkeypatch.chdir(tmp_path)
    other = f"{tmp_path}/w/b.jsonl"
    assert short_names(["v/a.jsonl", other]) == {"v/a.jsonl": "v/a", other: "w/b"}


def test_nothing_out_of_a_file_reaches_the_terminal_as_a_command(tmp_path):
    file = tmp_path / "v.jsonl"
    file.write_text(r'{"question_id": "\u001b[2J\ud800x", "order": 0, "score": "\u001b[1m", "opponent_score": 3}' + "\n")
    text = call(file).stdout
    assert "\x1b" not in text
    assert "question \ufffd[2J\ufffdx, ours first" in text
    assert json.loads(call(file, "--json").stdout)["files"][0]["questions"][0]["question_id"] == "\x1b[2J\ud800x"


def test_many_problems_are_counted_and_the_first_are_shown():
    lines = list(problem_lines("f", [Problem("unreadable", str(n), 0, "why") for n in range(11)]))
    assert lines[0] == "f: 11 × unreadable"
    assert lines[1] == "    question 0, ours first: why"
    assert len(lines) == 10
    assert lines[-1] == "    and 3 more; --json lists them all"
