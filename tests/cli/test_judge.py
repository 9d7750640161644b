import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import traceback

import api_server as server
import pytest
import typer

from diverseevol.cli.app import app
from diverseevol.errors import ConfigError, EvaluationError
from diverseevol.evaluation.journal import read_lines

pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_LOG"):
        monkeypatch.delenv(name, raising=False)


def call(*words):
    """The verb in this process: it returns, or raises what the program would say."""
    app(["judge", *map(str, words)], standalone_mode=False)


def command(*words):
    return [sys.executable, "-m", "diverseevol", *map(str, words)]


def lines(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture
def files(tmp_path):
    """Words that judge two files of six answers."""
    ours = server.answer_lines(6, lambda i: 2 + i, tmp_path / "ours.jsonl")
    theirs = server.answer_lines(6, lambda i: 8 - i, tmp_path / "theirs.jsonl")
    return ["--answers", ours, "--opponent", theirs, "--out", tmp_path / "v.jsonl", "--model", "judge"]


@pytest.fixture
def run_dir(tmp_path):
    """A run folder with answers of three rounds and the base model."""
    run = tmp_path / "runs" / "a"
    for name, worth in (("base", 2), ("round-00", 3), ("round-01", 4), ("round-10", 5)):
        server.answer_lines(3, lambda i, worth=worth: worth + i, run / f"answers/vicuna/{name}.jsonl")
    (run / "config.yaml").write_text("pool: {path: p.jsonl}\nmodel: m\nversions: {a: b}\nfingerprint: {a: b}\n")
    return run


def verdict_names(run):
    return sorted(file.name for file in (run / "verdicts/vicuna").iterdir())


def test_two_files_without_a_run(files, tmp_path, capsys):
    with server.serving() as judge:
        call(*files, "--base-url", judge.url, "--yes", "--price-in", 10, "--price-out", 100)
        assert len(judge.asked) == 12
        said = capsys.readouterr().err
        call(*files, "--base-url", judge.url)  # all is stored: nothing to agree to
        assert len(judge.asked) == 12
    verdicts = lines(tmp_path / "v.jsonl")
    assert [(v["question_id"], v["order"]) for v in verdicts] == [(i, order) for i in range(6) for order in (0, 1)]
    assert all((v["score"], v["opponent_score"]) == (2 + v["question_id"], 8 - v["question_id"]) for v in verdicts)
    assert {(v["ours"], v["opponent"], v["judge"], v["template"]) for v in verdicts} == {("ours", "theirs", "judge", "pairwise")}
    assert "12 judgements by judge (pairwise): 0 stored, 12 to ask." in said
    assert re.search(
        r"About [\d,]+ tokens in and 2,400 out = \d\.\d{4}; at most [\d,]+ tokens in and 12,288 out = \d\.\d{4}", said
    )
    assert f"12 replies took 1,200 tokens in and 120 out = {(1200 * 10 + 120 * 100) / 1e6:.4f}." in said
    assert f"ours against theirs: 12 of 12 verdicts, 0 of them unreadable, in {tmp_path / 'v.jsonl'}" in said
    assert "12 stored, 0 to ask." in capsys.readouterr().err


def test_a_round_against_each_kind_of_opponent(run_dir, tmp_path):
    other = tmp_path / "runs" / "other run"
    (other / "answers/vicuna").mkdir(parents=True)
    (other / "answers/vicuna/round-02.jsonl").write_bytes((run_dir / "answers/vicuna/base.jsonl").read_bytes())
    file = server.answer_lines(3, lambda i: 9, tmp_path / "gpt 3.5 (June).jsonl")
    common = (run_dir, "--benchmark", "vicuna=questions.jsonl", "--model", "judge", "--yes")
    with server.serving() as judge:
        for opponent in ("base", "1", f"{other}:2", file):
            call(*common, "--opponent", opponent, "--base-url", judge.url)
        call(*common, "--opponent", file, "--opponent-name", "gpt-3.5", "--round", 0, "--base-url", judge.url)
        # The other run's answers are the base model's: nothing of them was asked twice.
        assert len(judge.asked) == 4 * 6 - 6 + 6
    assert verdict_names(run_dir) == [
        "replies.ndjson",
        "round-00-vs-gpt-3.5.jsonl",
        "round-10-vs-base.jsonl",
        "round-10-vs-gpt-3.5-June.jsonl",
        "round-10-vs-other-run-round-02.jsonl",
        "round-10-vs-round-01.jsonl",
    ]
    assert {v["opponent_score"] for v in lines(run_dir / "verdicts/vicuna/round-00-vs-gpt-3.5.jsonl")} == {9}
    assert lines(run_dir / "verdicts/vicuna/round-10-vs-base.jsonl")[0]["ours"] == "round-10"


def test_settings_go_to_the_judge_and_a_template_of_the_user(files, tmp_path):
    (tmp_path / "mine.txt").write_text("Judge: {question} {answer_1} {answer_2}")
    with server.serving() as judge:
        settings = ("max_tokens=null", "max_completion_tokens=9", "seed=1")
        call(*files, "--base-url", judge.url, "--yes", "--template", tmp_path / "mine.txt", *settings)
    body = judge.asked[0].body
    assert {key: body[key] for key in body if key != "messages"} == {
        "model": "judge",
        "temperature": 0,
        "max_completion_tokens": 9,
        "seed": 1,
    }
    assert body["messages"][0]["content"].startswith("Judge: [")
    assert lines(tmp_path / "v.jsonl")[0]["template"] == "mine.txt"


def test_questions_without_a_counterpart_are_named(files, tmp_path, capsys):
    server.answer_lines(4, lambda i: 5, tmp_path / "theirs.jsonl")
    with server.serving() as judge:
        call(*files, "--base-url", judge.url, "--yes")
        assert len(judge.asked) == 8
    assert "2 questions without an answer of the opponent's: 4, 5\n" in capsys.readouterr().err


def test_unreadable_verdicts_are_kept_apart_and_counted(files, tmp_path, capsys):
    def respond(asked):
        return "Both are fine." if "Question 3?" in asked.prompt else server.by_worth(asked)

    with server.serving(respond) as judge:
        call(*files, "--base-url", judge.url, "--yes")
        assert len(judge.asked) == 12
    assert (
        "12 of 12 verdicts, 2 of them unreadable (question 3: the first line is not two scores: 'Both are fine.'), in"
        in capsys.readouterr().err
    )
    unread = [v for v in lines(tmp_path / "v.jsonl") if v["score"] is None]
    assert [(v["question_id"], v["order"], v["opponent_score"], v["reply"]) for v in unread] == [
        (3, 0, None, "Both are fine."),
        (3, 1, None, "Both are fine."),
    ]
    assert all("the first line is not two scores" in v["problem"] for v in unread)


def test_verdicts_of_another_judge_are_replaced_and_come_back_free(files, tmp_path):
    with server.serving() as judge:
        for name in ("judge", "other", "judge"):
            call(*files[:-1], name, "--base-url", judge.url, "--yes")
        assert len(judge.asked) == 24
    assert {v["judge"] for v in lines(tmp_path / "v.jsonl")} == {"judge"}


def test_the_budget_stops_and_more_of_it_goes_on(files, tmp_path):
    # At 10,000 a million a request may cost some 17 and costs 1.10.
    money = ("--price-in", 10_000, "--price-out", 10_000, "max_tokens=50", "--yes")
    with server.serving() as judge:
        with pytest.raises(
            EvaluationError, match=r"of 12 judgements are left; the same command goes on with them. the budget of 20 is used up"
        ):
            call(*files, *money, "--base-url", judge.url, "--budget", 20)
        n_first = len(judge.asked)
        assert 0 < n_first < 12
        assert len(lines(tmp_path / "v.jsonl")) == n_first  # what there is
        call(*files, *money, "--base-url", judge.url, "--budget", 100)
        assert len(judge.asked) == 12
    assert len(lines(tmp_path / "v.jsonl")) == 12


def test_what_failed_is_left_and_said(files, tmp_path):
    def respond(asked):
        return server.Sent(400, '{"error": {"message": "too long"}}') if "Question 2?" in asked.prompt else server.by_worth(asked)

    with (
        server.serving(respond) as judge,
        pytest.raises(EvaluationError, match="2 of 12 judgements are left; .* 2 requests failed, such as: .*too long"),
    ):
        call(*files, "--base-url", judge.url, "--yes")
    assert len(lines(tmp_path / "v.jsonl")) == 10


def test_without_a_terminal_nothing_is_spent_unasked_and_torch_is_not_loaded(files):
    code = (
        "import sys\nfrom diverseevol.cli.app import app\ntry:\n    app(sys.argv[1:], standalone_mode=False)\n"
        "except Exception as error:\n    print(error)\nsys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    with server.serving() as judge:
        words = [sys.executable, "-c", code, "judge", *map(str, files), "--base-url", judge.url]
        ended = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert judge.asked == []
    assert ended.returncode == 0
    assert "About" in ended.stderr
    assert ended.stdout == "nothing was sent: where no terminal can be asked, judging needs --yes.\n"


@pytest.mark.parametrize(("typed", "n_asked"), [("y\n", 12), ("n\n", 0), ("\n", 0)])
def test_on_a_terminal_it_takes_a_yes(files, monkeypatch, typed, n_asked):
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    with server.serving() as judge, os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        if n_asked:
            call(*files, "--base-url", judge.url)
        else:
            with pytest.raises(typer.Abort):
                call(*files, "--base-url", judge.url)
        assert len(judge.asked) == n_asked
    os.close(ours)


JUDGED = "RUN --benchmark vicuna --model m "
WRONG = [
    ("--answers a --opponent b --model m", ConfigError, "or --answers and --out, the file for the verdicts"),
    ("--model m --opponent base", ConfigError, "judging needs either a run folder and --benchmark"),
    ("RUN --model m --opponent base", ConfigError, "judging needs either"),
    ("RUN --answers a --out v --model m --opponent base", ConfigError, "Give one of the two"),
    ("RUN --benchmark vicuna --out v --model m --opponent base", ConfigError, "Give one of the two"),
    (
        "RUN --benchmark koala --model m --opponent base",
        ConfigError,
        r"no answers of round base to koala in .*; there are: none\. Make",
    ),
    (JUDGED + "--opponent base --round 7", ConfigError, "there are: base, round-00, round-01, round-10"),
    (JUDGED + "--opponent nobody", ConfigError, "--opponent 'nobody' is neither a file, a round"),
    (JUDGED + "--opponent last", ConfigError, "round-10 cannot be its own opponent"),
    ("RUN --benchmark ../.. --model m --opponent base", ConfigError, r"'\.\./\.\.' is no name for a file"),
    (JUDGED + "--opponent base --opponent-name ../x", ConfigError, "'round-10-vs-../x' is no name"),
    (JUDGED + "--opponent base --template single", ConfigError, "no judge's template 'single'"),
    (JUDGED + "--opponent base --budget 1", ConfigError, "money needs both prices"),
    (JUDGED + "--opponent base --price-in 1", ConfigError, "money needs both prices"),
    (
        JUDGED + "--opponent base --budget inf --price-in 1 --price-out 1",
        ConfigError,
        "budget is 'inf': it should be a finite number",
    ),
    (JUDGED + "--opponent base --price-in 1 --price-out inf", ConfigError, "price_out is 'inf'"),
    (
        JUDGED + "--opponent base --budget 1 --price-in 1 --price-out 1 max_tokens=null",
        ConfigError,
        "--budget needs a longest reply",
    ),
    (JUDGED + "--opponent base stream=true", ConfigError, "setting stream is not free"),
    (JUDGED + "--opponent base --yes", ConfigError, "no key for api.openai.com"),
    ("--answers none.jsonl --out v --model m --opponent base", EvaluationError, "no answers at 'none.jsonl'"),
]


@pytest.mark.parametrize(("words", "error", "message"), WRONG, ids=[words[:60] for words, *_ in WRONG])
def test_wrong_calls_say_what_to_do(run_dir, words, error, message):
    with pytest.raises(error, match=message):
        call(*(run_dir if word == "RUN" else word for word in words.split()))


def test_the_key_appears_nowhere(files, tmp_path):
    """A server that throws the key back in every way, every log turned on, tracebacks shown."""

    def echo(asked):
        said = f"8 9 {asked.headers['authorization']}"
        kinds = [said, server.Sent(500, said), server.Sent(429, json.dumps({"error": {"message": said}}), {"Retry-After": "0"})]
        kinds += [server.Sent(body=said), server.Sent(400, said), server.Sent(body=server.completion(said, model=said))]
        return (
            server.Sent(401, json.dumps({"error": {"message": said, "code": said}}))
            if asked.number > 7
            else kinds[asked.number % 6]
        )

    words = ["--debug", "judge", *files, "--yes", "--key-variable", "MY_KEY"]
    words += ["--concurrency", 2, "--retries", 2]
    environment = {**os.environ, "MY_KEY": KEY, "OPENAI_LOG": "debug"}
    with server.serving(echo) as judge:
        ended = subprocess.run(
            command(*words, "--base-url", judge.url), capture_output=True, text=True, env=environment, timeout=60
        )
        assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in judge.asked)
        assert len(judge.asked) > 8
    assert "Traceback" in ended.stderr  # the refusal, with everything that led to it
    assert "Bearer [key]" in ended.stderr
    assert KEY not in ended.stdout + ended.stderr
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"v.jsonl", "v.replies.ndjson"} <= {file.name for file in written}
    assert not [file for file in written if KEY.encode() in file.read_bytes()]


def test_a_key_that_cannot_be_sent_is_not_shown_either(files, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    with server.serving() as judge, pytest.raises(ConfigError, match="the key in the environment holds spaces") as error:
        call(*files, "--base-url", judge.url, "--yes")
    assert KEY not in "".join(traceback.format_exception(error.value))
    assert judge.asked == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_writes_what_there_is(files, tmp_path, number):
    with (
        server.serving(lambda asked: server.by_worth(asked) if asked.number < 5 else server.HANG) as judge,
        subprocess.Popen(
            command("judge", *files, "--base-url", judge.url, "--yes"), stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        while judge.n_now < 7:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        time.sleep(0.2)
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "The same command goes on from here" in said
    assert "Traceback" not in said
    assert len(lines(tmp_path / "v.jsonl")) == 5


def test_killed_in_the_middle(tmp_path):
    """Every question is judged once in each order; what was stored when the process was killed is never asked again."""
    n, at_once = 150, 8
    ours = server.answer_lines(n, lambda i: 1 + i % 10, tmp_path / "ours.jsonl")
    theirs = server.answer_lines(n, lambda i: 1 + i % 7, tmp_path / "theirs.jsonl")
    words = ["--answers", ours, "--opponent", theirs, "--out", tmp_path / "v.jsonl"]
    words += ["--model", "judge", "--yes", "--concurrency", at_once]
    with server.serving() as judge:
        with subprocess.Popen(command("judge", *words, "--base-url", judge.url), stderr=subprocess.DEVNULL) as process:
            while len(judge.asked) < n:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        time.sleep(0.2)
        n_first = len(judge.asked)
        n_stored = len(read_lines(tmp_path / "v.replies.ndjson"))
        assert n_first - at_once <= n_stored <= n_first
        assert not (tmp_path / "v.jsonl").exists()
        ended = subprocess.run(command("judge", *words, "--base-url", judge.url), capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        assert len(judge.asked) == n_first + 2 * n - n_stored  # only what was under way is sent again
        sent_again = judge.prompts()
        assert len(sent_again) == 2 * n
        assert sum(count - 1 for count in sent_again.values()) <= at_once
        # A gateway that knows Idempotency-Key charges those once as well.
        assert len({asked.headers["idempotency-key"] for asked in judge.asked}) == 2 * n
        assert f"{n_stored:,} stored, {2 * n - n_stored:,} to ask." in ended.stderr
    verdicts = lines(tmp_path / "v.jsonl")
    assert [(v["question_id"], v["order"]) for v in verdicts] == [(i, order) for i in range(n) for order in (0, 1)]
    assert all((v["score"], v["opponent_score"]) == (1 + v["question_id"] % 10, 1 + v["question_id"] % 7) for v in verdicts)


def test_two_at_once_do_not_pay_twice(files):
    release = threading.Event()

    def respond(asked):
        release.wait(60)
        return server.by_worth(asked)

    with server.serving(respond) as judge:
        words = command("judge", *files, "--base-url", judge.url, "--yes")
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as first:
            while not judge.asked:
                time.sleep(0.02)
            with pytest.raises(EvaluationError, match="is in use by another process. Wait for it, or end it."):
                call(*files, "--base-url", judge.url, "--yes")
            release.set()
            assert first.wait(60) == 0
        assert len(judge.asked) == 12
