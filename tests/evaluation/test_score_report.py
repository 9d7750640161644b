import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import verdicts_made as made

from diverseevol import score as score_verdicts
from diverseevol.errors import EvaluationError, PoolError
from diverseevol.evaluation import bootstrap
from diverseevol.evaluation.bootstrap import confidence_interval, difference, ratio_of_sums
from diverseevol.evaluation.scoring import with_lengths
from diverseevol.evaluation.verdict_files import read_verdicts


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(bootstrap, "N_DRAWS", 300)


def judged(file, seed, better=0, n=40, **extra):
    """A file on `n` questions that are equally hard in every file; `better` points better."""
    hard = np.random.default_rng(99).integers(3, 8, n)
    noise = np.random.default_rng(seed).integers(-1, 2, (n, 2))
    rows = [(f"q{q}", order, int(hard[q] + better + noise[q, order] - 1), int(hard[q])) for q in range(n) for order in (0, 1)]
    made.own(file, [(q, o, max(1, s), t) for q, o, s, t in rows], **extra)
    return rows


def test_the_difference_of_two_files(tmp_path):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    judged(first, 1, better=1)
    judged(second, 2)
    report = score_verdicts(first, second)
    gap = report.differences[0]
    assert (gap.name, gap.against, gap.n_questions, gap.doubt) == (str(first), str(second), 40, "")
    assert gap.value == pytest.approx(report.files[0].rs - report.files[1].rs)
    assert gap.interval.low < gap.value < gap.interval.high
    assert gap.finding == "better"
    assert score_verdicts(second, first).differences[0].finding == "worse"
    assert score_verdicts(second, first).differences[0].value == pytest.approx(-gap.value)


def test_a_difference_is_surer_than_its_parts_because_the_questions_are_the_same(tmp_path):
    judged(tmp_path / "a.jsonl", 1)
    judged(tmp_path / "b.jsonl", 2)
    report = score_verdicts(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    widths = [score.interval.high - score.interval.low for score in report.files]
    gap = report.differences[0].interval
    assert gap.high - gap.low < np.hypot(*widths)
    assert report.differences[0].finding == "no difference shown"


def test_only_questions_that_count_in_both_are_compared(tmp_path):
    rows = {"a": judged(tmp_path / "a.jsonl", 1), "b": judged(tmp_path / "b.jsonl", 2)}
    rows["a"] = [(q, o, None if q == "q8" else s, t) for q, o, s, t in rows["a"] if q != "q3"]
    rows["b"] = [
        (q, o, None, t) if q == "q5" else (q, o, s, t) for q, o, s, t in reversed(rows["b"])
    ]  # another order of the lines
    files = [made.own(tmp_path / f"{name}.jsonl", rows[name]) for name in "ab"]
    report = score_verdicts(*files)
    kept = [f"q{q}" for q in range(40) if q not in (3, 5, 8)]

    def sums(name, column):
        return np.array([sum(row[column] for row in rows[name] if row[0] == q) for q in kept], dtype=float)

    parts = [ratio_of_sums(100 * sums(name, 2), sums(name, 3)) for name in "ab"]
    gap = report.differences[0]
    assert gap.n_questions == 37
    assert gap.value == pytest.approx(100 * (sums("a", 2).sum() / sums("a", 3).sum() - sums("b", 2).sum() / sums("b", 3).sum()))
    expected = confidence_interval(difference(*parts), 37)
    assert (gap.interval.low, gap.interval.high) == pytest.approx((expected.low, expected.high))
    unread = [("unreadable", "q8", 0), ("unreadable", "q8", 1)]
    assert made.kinds(report.files[0].problems) == unread
    assert made.kinds(report.files[1].problems) == [("unreadable", "q5", 1), ("unreadable", "q5", 0)]


def test_two_folders_are_compared_file_by_file(tmp_path):
    for run in ("k_center", "random"):
        for round_index in (0, 2, 10):
            judged(tmp_path / run / f"rd_{round_index}.jsonl", round_index)
    judged(tmp_path / "random" / "rd_11.jsonl", 11)
    report = score_verdicts(tmp_path / "k_center", tmp_path / "random")
    assert [Path(score.name).name for score in report.files] == [f"rd_{n}.jsonl" for n in (0, 2, 10, 0, 2, 10, 11)]
    pairs = [(Path(gap.name).parts[-2:], Path(gap.against).parts[-2:]) for gap in report.differences]
    assert pairs == [(("k_center", f"rd_{n}.jsonl"), ("random", f"rd_{n}.jsonl")) for n in (0, 2, 10)]


def test_everything_against_one_file(tmp_path):
    files = [tmp_path / f"{name}.jsonl" for name in "abc"]
    for seed, file in enumerate(files):
        judged(file, seed)
    inside = score_verdicts(*files, against=files[1])
    assert [(gap.name, gap.against) for gap in inside.differences] == [
        (str(files[0]), str(files[1])),
        (str(files[2]), str(files[1])),
    ]
    outside = score_verdicts(files[0], against=files[2])
    assert [score.name for score in outside.files] == [str(files[0]), str(files[2])]
    assert len(outside.differences) == 1
    assert score_verdicts(*files).differences == ()
    assert score_verdicts(files[0], files[0]).differences == ()
    assert len(score_verdicts(files[0], files[0]).files) == 1


def test_other_opponents_are_said(tmp_path):
    judged(tmp_path / "a.jsonl", 1)
    judged(tmp_path / "b.jsonl", 2, opponent="somebody")
    assert score_verdicts(tmp_path / "a.jsonl", tmp_path / "b.jsonl").differences[0].doubt == "other opponents: them, somebody"


def test_what_cannot_be_compared_is_refused(tmp_path):
    judged(tmp_path / "a.jsonl", 1, question="Why?")
    judged(tmp_path / "b.jsonl", 2, question="How?")
    with pytest.raises(
        EvaluationError, match=r"a\.jsonl and .*b\.jsonl: question q0 is 'Why\?' and 'How\?'\. Compare files of one benchmark"
    ):
        score_verdicts(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    other = made.own(tmp_path / "o.jsonl", [("z", 0, 3, 4)])
    with pytest.raises(EvaluationError, match="no question counts in both"):
        score_verdicts(tmp_path / "a.jsonl", other)


def test_a_difference_on_few_questions_finds_nothing(tmp_path):
    judged(tmp_path / "a.jsonl", 1, better=2, n=5)
    judged(tmp_path / "b.jsonl", 2, n=5)
    gap = score_verdicts(tmp_path / "a.jsonl", tmp_path / "b.jsonl").differences[0]
    assert (gap.interval, gap.finding) == (None, "too few questions")


@pytest.mark.parametrize(("n_expected", "detail"), [(4, "3 questions, expected 4"), (2, "3 questions, expected 2")])
def test_another_number_of_questions_than_expected_is_said(tmp_path, n_expected, detail):
    file = made.own(tmp_path / "a.jsonl", [(n, 0, 3, 4) for n in ((1, 2, 4) if n_expected == 4 else (1, 2, 3))])
    problems = score_verdicts(file, n_questions=n_expected).files[0].problems
    assert [(problem.kind, problem.detail) for problem in problems] == [("missing_question", detail)]
    assert not score_verdicts(file, n_questions=3).files[0].problems


def test_lengths_and_their_correlation_with_the_scores(tmp_path):
    expected = []
    for round_index in range(4):
        better, length = [(0, 10), (1, 30), (2, 50), (1, 45)][round_index]
        rows = judged(tmp_path / "v" / f"rd_{round_index}.jsonl", round_index, better, ours=f"rd_{round_index}")
        lines = [{"question_id": f"q{q}", "answer": "x" * (length + q)} for q in range(40)]
        made.write(tmp_path / "answers" / f"rd_{round_index}.jsonl", lines)
        rs = 100 * sum(max(1, row[2]) for row in rows) / sum(row[3] for row in rows)
        expected.append((rs, np.mean(np.log(1 + length + np.arange(40)))))
    made.write(tmp_path / "them.jsonl", [{"question_id": f"q{q}", "answer": "y" * 40} for q in range(40)])
    report = score_verdicts(tmp_path / "v", answers=[tmp_path / "answers"], opponent_answers=[tmp_path / "them.jsonl"])
    assert report.length_correlation == pytest.approx(np.corrcoef(*np.array(expected).T)[0, 1])
    assert [score.lengths.mean for score in report.files] == [29.5, 49.5, 69.5, 64.5]
    assert {score.lengths.opponent_mean for score in report.files} == {40}
    assert all(score.lengths.controlled is not None for score in report.files)
    assert score_verdicts(tmp_path / "v").length_correlation is None
    two = [tmp_path / "v" / f"rd_{n}.jsonl" for n in (1, 3)]
    answers = [tmp_path / "answers" / f"rd_{n}.jsonl" for n in (1, 3)]
    given = score_verdicts(*two, answers=answers)
    assert [score.lengths.mean for score in given.files] == [49.5, 64.5]
    assert given.length_correlation is None  # two points say nothing
    with pytest.raises(EvaluationError, match=r"2 files of answers for 4 of verdicts\. Give one a file"):
        score_verdicts(tmp_path / "v", answers=answers)


def test_the_published_files_with_their_answers(shared_data):
    verdicts, answers = shared_data / "verdicts" / "vicuna_test", shared_data / "answers" / "vicuna_test"
    files = [verdicts / f"{run}_initRAND100" / "rd_10_vs_chat.jsonl" for run in ("kc_dolly", "rand_dolly")]
    report = score_verdicts(*files, answers=[answers], opponent_answers=[answers])
    assert [score.lengths.n_questions for score in report.files] == [80, 80]
    assert [round(score.lengths.mean) for score in report.files] == [805, 635]
    assert report.files[0].lengths.controlled > report.files[0].rs  # ours is the shorter one, and longer answers are liked
    assert report.differences[0].value == pytest.approx(77.90 - 70.87, abs=0.01)
    assert report.differences[0].finding == "better"


def test_scoring_loads_no_torch(tmp_path):
    file = made.own(tmp_path / "v.jsonl", [("a", 0, 8, 6)])
    code = f"import sys, diverseevol; diverseevol.score({str(file)!r}); print(sorted({{'torch', 'transformers', 'openai'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.fixture
def verdicts(tmp_path):
    return read_verdicts(made.published(tmp_path / "v.jsonl", [(1, [4, 8], [2, 5]), (2, [4, 8], [2, 5]), (3, [4, 8], [2, 5])]))


def answers(file, texts, key="question_id"):
    return made.write(
        file, [{key: name, "question" if key == "question_id" else "x": None, "answer": text} for name, text in texts]
    )


def test_lengths_of_both_sides_are_filled_in(tmp_path, verdicts):
    ours = answers(tmp_path / "ours.jsonl", [(3, "abc"), (1, "a")])
    theirs = answers(tmp_path / "theirs.jsonl", [("1", "abcd"), ("2", "ab"), ("3", "x" * 9)])
    found = with_lengths(verdicts, [ours, theirs])
    assert found.lengths_QS[[0, 2]].tolist() == [[1, 4], [3, 9]]
    assert np.isnan(found.lengths_QS[1, 0])
    assert found.lengths_QS[1, 1] == 2
    assert not found.problems
    assert np.isnan(verdicts.lengths_QS).all()  # the argument stays as it was


def test_lengths_in_the_verdicts_come_first(tmp_path):
    own = read_verdicts(made.own(tmp_path / "v.jsonl", [("a", 0, 8, 6)], answer="abc"))
    found = with_lengths(own, [answers(tmp_path / "ours.jsonl", [("a", "abcdef")]), None])
    assert found.lengths_QS[0, 0] == 3


def test_answers_without_an_id_are_found_by_the_question(tmp_path, verdicts):
    lines = [{"instruction": f"question {n}", "output": "x" * n, "generator": "m"} for n in (1, 2, 3)]
    found = with_lengths(verdicts, [made.write(tmp_path / "alpaca_eval.jsonl", lines), None])
    assert found.lengths_QS[:, 0].tolist() == [1, 2, 3]
    assert not found.problems


def test_answers_to_other_questions_are_refused(tmp_path, verdicts):
    with pytest.raises(
        EvaluationError, match=r"other\.jsonl answers none of the questions in .*v\.jsonl\. Give the answers that were judged"
    ):
        with_lengths(verdicts, [answers(tmp_path / "other.jsonl", [(77, "x")]), None])


def test_a_folder_is_looked_through_for_the_models_name(tmp_path, verdicts):
    answers(tmp_path / "run" / "rd_1.jsonl", [(1, "abc")])
    for folder in (tmp_path, tmp_path / "run"):
        assert with_lengths(verdicts, [folder, None]).lengths_QS[0, 0] == 3
    with pytest.raises(PoolError, match="has no answers of 'gpt'"):
        with_lengths(verdicts, [None, tmp_path])


@pytest.mark.parametrize("name", ["../secret", "run/../../secret", "/tmp/secret", ""])
def test_a_name_out_of_a_file_does_not_lead_out_of_the_folder(tmp_path, name):
    answers(tmp_path / "secret.jsonl", [("a", "a")])
    (tmp_path / "run").mkdir()
    name = str(tmp_path / "secret") if name.startswith("/") else name
    found = read_verdicts(made.own(tmp_path / "v.jsonl", [("a", 0, 8, 6)], ours=name))
    with pytest.raises(PoolError, match="has no answers"):
        with_lengths(found, [tmp_path / "run", None])
