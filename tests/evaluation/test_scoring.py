"""What verdicts add up to, worked out by hand, and the differences of files; acceptance holds the published figures."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import verdicts_made as made

from diverseevol import score
from diverseevol.errors import EvaluationError, PoolError
from diverseevol.evaluation import bootstrap
from diverseevol.evaluation.bootstrap import confidence_interval, difference, ratio_of_sums
from diverseevol.evaluation.scoring import score_file, with_lengths
from diverseevol.evaluation.verdict_files import read_verdicts


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(bootstrap, "N_DRAWS", 200)


# Four questions in both orders. Ours / theirs, ours first; then ours second:
#   a  8 6   7 7     15 : 13   win, and with ours second a tie: changed
#   b  5 9   6 8     11 : 17   loss in both
#   c  7 8   8 7     15 : 15   tie by loss and win: changed
#   d  9 4   9 3     18 :  7   win in both
NUMBERS = {"a": ((8, 6), (7, 7)), "b": ((5, 9), (6, 8)), "c": ((7, 8), (8, 7)), "d": ((9, 4), (9, 3))}
FOUR = [(q, order, *pair) for q, pairs in NUMBERS.items() for order, pair in enumerate(pairs)]


def score_of(tmp_path, rows, **extra):
    return score_file(read_verdicts(made.own(tmp_path / "v.jsonl", rows, **extra)))


def test_four_questions_worked_out_by_hand(tmp_path):
    found = score_of(tmp_path, FOUR)
    assert (found.ours, found.opponent) == ("m", "them")
    assert (found.n_questions, found.n_judged, found.n_complete, found.n_judgements) == (4, 4, 4, 8)
    assert found.rs == found.rs_complete == pytest.approx(100 * 59 / 52)
    assert (found.mean_score, found.opponent_mean_score) == (59 / 8, 52 / 8)
    assert found.rs_of_questions == pytest.approx(100 * (15 / 13 + 11 / 17 + 1 + 18 / 7) / 4)
    tally, orders = found.tally, found.orders
    assert (tally.wins, tally.ties, tally.losses, tally.win_rate, tally.share_changed) == (2, 1, 1, 62.5, 0.5)
    assert (orders.first, orders.second) == (pytest.approx(100 * 29 / 27), pytest.approx(100 * 30 / 25))
    assert orders.effect == pytest.approx(100 * (29 / 27 - 30 / 25))
    assert found.interval is None  # four questions say nothing of their own spread
    assert [(one.question_id, one.outcome, one.is_changed) for one in found.questions] == [
        ("a", "win", True),
        ("b", "lose", False),
        ("c", "tie", True),
        ("d", "win", False),
    ]
    first = found.questions[0]
    assert (first.score, first.opponent_score, first.rs) == (7.5, 6.5, pytest.approx(100 * 15 / 13))


def test_a_judgement_that_cannot_be_read_takes_nothing_else_along(tmp_path):
    found = score_of(tmp_path, [*FOUR[:7], ("d", 1, None, None)])
    assert (found.n_judged, found.n_complete, found.n_judgements) == (4, 3, 7)
    assert (found.rs, found.rs_complete) == (pytest.approx(100 * 50 / 49), pytest.approx(100 * 41 / 45))
    assert (found.tally.wins, found.tally.ties, found.tally.losses) == (1, 1, 1)
    assert found.tally.share_changed == pytest.approx(2 / 3)
    assert found.orders.second == pytest.approx(100 * 21 / 22)
    half = found.questions[3]
    assert (half.score, half.opponent_score, half.outcome, half.is_changed) == (9, 4, None, None)
    assert made.kinds(found.problems) == [("unreadable", "d", 1)]


def test_nothing_readable_one_order_only_and_tenths_that_average_to_the_same(tmp_path):
    found = score_of(tmp_path, [("a", 0, None, 3), ("a", 1, -1, -1)])
    assert (found.rs, found.mean_score, found.tally, found.orders, found.lengths, found.interval) == (None,) * 6
    found = score_of(tmp_path, [row for row in FOUR if row[1] == 1])
    assert (found.rs, found.orders, found.tally.share_changed) == (pytest.approx(120), None, None)
    assert 1.1 + 2.2 > 1.4 + 1.9
    rows = [("a", 0, 1.1, 1.4), ("a", 1, 2.2, 1.9), ("b", 0, 1.4, 1.1), ("b", 1, 1.9, 2.2)]
    assert score_of(tmp_path, rows).tally.ties == 2


def test_intervals_and_lengths_are_of_the_questions_that_count(tmp_path):
    rng = np.random.default_rng(0)
    numbers, lengths = rng.integers(1, 11, (30, 2, 2)), rng.integers(5, 50, (30, 2))
    lines = [
        {
            "question_id": q,
            "order": order,
            "score": None if q == 3 else int(numbers[q, order, 0]),
            "opponent_score": int(numbers[q, order, 1]),
            "answer": "x" * lengths[q, 0],
            "opponent_answer": "y" * lengths[q, 1],
        }
        for q in range(30)
        for order in (0, 1)
    ]
    found = score_file(read_verdicts(made.write(tmp_path / "v.jsonl", lines)))
    numbers, lengths = np.delete(numbers, 3, axis=0).astype(float), np.delete(lengths, 3, axis=0)
    sums = numbers.sum(axis=1)
    assert found.interval == confidence_interval(ratio_of_sums(100 * sums[:, 0], sums[:, 1]), 29)
    first, second = (ratio_of_sums(100 * numbers[:, order, 0], numbers[:, order, 1]) for order in (0, 1))
    assert found.orders.interval == confidence_interval(difference(first, second), 29)
    assert (found.lengths.n_questions, found.lengths.mean, found.lengths.opponent_mean) == (29, *lengths.mean(axis=0))
    expected = np.corrcoef(numbers[:, :, 0].mean(axis=1), np.log(1 + lengths[:, 0]))[0, 1]
    assert found.lengths.correlation == pytest.approx(expected)
    assert found.lengths.controlled is not None


def judged(file, seed, better=0, n=40, **extra):
    """A file on `n` questions that are equally hard in every file; `better` points better."""
    hard = np.random.default_rng(99).integers(3, 8, n)
    noise = np.random.default_rng(seed).integers(-1, 2, (n, 2))
    scores = np.maximum(1, hard[:, None] + better + noise - 1)
    rows = [(f"q{q}", order, int(scores[q, order]), int(hard[q])) for q in range(n) for order in (0, 1)]
    made.own(file, rows, **extra)
    return rows


def test_the_difference_of_two_files_is_that_of_the_questions_that_count_in_both(tmp_path):
    files = [tmp_path / f"{name}.jsonl" for name in "ab"]
    ours, theirs = judged(files[0], 1, better=1), judged(files[1], 2)
    report = score(*files)
    gap = report.differences[0]
    assert (gap.name, gap.against, gap.n_questions, gap.doubt) == (str(files[0]), str(files[1]), 40, "")
    assert (gap.value, gap.finding) == (pytest.approx(report.files[0].rs - report.files[1].rs), "better")
    assert score(*reversed(files)).differences[0].finding == "worse"
    ours = [(q, o, None if q == "q8" else s, t) for q, o, s, t in ours if q != "q3"]
    theirs = [(q, o, None if q == "q5" else s, t) for q, o, s, t in reversed(theirs)]  # another order of the lines
    for file, rows in zip(files, (ours, theirs), strict=True):
        made.own(file, rows)
    kept = [f"q{q}" for q in range(40) if q not in (3, 5, 8)]
    sums = [np.array([[sum(r[c] for r in rows if r[0] == q) for c in (2, 3)] for q in kept], float) for rows in (ours, theirs)]
    parts = [ratio_of_sums(100 * each[:, 0], each[:, 1]) for each in sums]
    gap, expected = score(*files).differences[0], confidence_interval(difference(*parts), 37)
    assert gap.n_questions == 37
    assert gap.value == pytest.approx(
        100 * (sums[0][:, 0].sum() / sums[0][:, 1].sum() - sums[1][:, 0].sum() / sums[1][:, 1].sum())
    )
    assert (gap.interval.low, gap.interval.high) == pytest.approx((expected.low, expected.high))


def test_which_files_are_compared(tmp_path):
    for run in ("k_center", "random"):
        for round_index in (0, 2, 10):
            judged(tmp_path / run / f"rd_{round_index}.jsonl", round_index)
    judged(tmp_path / "random" / "rd_11.jsonl", 11, opponent="somebody")
    report = score(tmp_path / "k_center", tmp_path / "random")  # folders: file by file of the same names
    assert [Path(each.name).stem for each in report.files] == [f"rd_{n}" for n in (0, 2, 10, 0, 2, 10, 11)]
    pairs = [(Path(gap.name).parts[-2:], Path(gap.against).parts[-2:]) for gap in report.differences]
    assert pairs == [(("k_center", f"rd_{n}.jsonl"), ("random", f"rd_{n}.jsonl")) for n in (0, 2, 10)]
    a, b, c = (tmp_path / "random" / f"rd_{n}.jsonl" for n in (0, 2, 11))
    assert [(gap.name, gap.against) for gap in score(a, b, c, against=b).differences] == [(str(a), str(b)), (str(c), str(b))]
    outside = score(a, against=c)
    assert [each.name for each in outside.files] == [str(a), str(c)]
    assert outside.differences[0].doubt == "other opponents: them, somebody"
    assert score(a, b, c).differences == score(a, a).differences == ()
    assert len(score(a, a).files) == 1


def test_what_cannot_be_compared_is_refused_and_few_questions_find_nothing(tmp_path):
    a, b, other = (tmp_path / f"{name}.jsonl" for name in "abo")
    judged(a, 1, question="Why?")
    judged(b, 2, question="How?")
    message = r"a\.jsonl and .*b\.jsonl: question q0 is 'Why\?' and 'How\?'\. Compare files of one benchmark"
    with pytest.raises(EvaluationError, match=message):
        score(a, b)
    with pytest.raises(EvaluationError, match="no question counts in both"):
        score(a, made.own(other, [("z", 0, 3, 4)]))
    judged(a, 1, better=2, n=5)
    judged(b, 2, n=5)
    gap = score(a, b).differences[0]
    assert (gap.interval, gap.finding) == (None, "too few questions")
    (problem,) = score(a, n_questions=4).files[0].problems
    assert (problem.kind, problem.detail) == ("missing_question", "5 questions, expected 4")
    assert not score(a, n_questions=5).files[0].problems


def test_lengths_and_their_correlation_with_the_scores(tmp_path):
    expected = []
    for at, (better, length) in enumerate([(0, 10), (1, 30), (2, 50), (1, 45)]):
        rows = judged(tmp_path / "v" / f"rd_{at}.jsonl", at, better, ours=f"rd_{at}")
        lines = [{"question_id": f"q{q}", "answer": "x" * (length + q)} for q in range(40)]
        made.write(tmp_path / "answers" / f"rd_{at}.jsonl", lines)
        rs = 100 * sum(row[2] for row in rows) / sum(row[3] for row in rows)
        expected.append((rs, np.mean(np.log(1 + length + np.arange(40)))))
    made.write(tmp_path / "them.jsonl", [{"question_id": f"q{q}", "answer": "y" * 40} for q in range(40)])
    report = score(tmp_path / "v", answers=[tmp_path / "answers"], opponent_answers=[tmp_path / "them.jsonl"])
    assert report.length_correlation == pytest.approx(np.corrcoef(*np.array(expected).T)[0, 1])
    assert [(each.lengths.mean, each.lengths.opponent_mean) for each in report.files] == [
        (mean, 40) for mean in (29.5, 49.5, 69.5, 64.5)
    ]
    answers = [tmp_path / "answers" / f"rd_{n}.jsonl" for n in (1, 3)]
    given = score(*(tmp_path / "v" / f"rd_{n}.jsonl" for n in (1, 3)), answers=answers)
    assert [each.lengths.mean for each in given.files] == [49.5, 64.5]
    assert given.length_correlation is None  # two points say nothing
    with pytest.raises(EvaluationError, match=r"2 files of answers for 4 of verdicts\. Give one a file"):
        score(tmp_path / "v", answers=answers)


def test_scoring_loads_no_torch(tmp_path):
    file = made.own(tmp_path / "v.jsonl", [("a", 0, 8, 6)])
    code = f"import sys, diverseevol; diverseevol.score({str(file)!r}); print({{'torch', 'openai'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.fixture
def verdicts(tmp_path):
    rows = [(str(n), [5, 8], [6, 7]) for n in (1, 2, 3)]
    return read_verdicts(made.published(tmp_path / "v.jsonl", rows))


def test_lengths_are_filled_in_by_id_or_by_the_question_where_the_verdicts_have_none(tmp_path, verdicts):
    ours = made.write(tmp_path / "ours.jsonl", [{"question_id": n, "answer": text} for n, text in ((3, "abc"), (1, "a"))])
    lines = [{"instruction": f"question {n}", "output": "x" * n, "generator": "m"} for n in (1, 2, 3)]
    found = with_lengths(verdicts, [ours, made.write(tmp_path / "alpaca_eval.jsonl", lines)])
    np.testing.assert_array_equal(found.lengths_QS, [[1, 1], [np.nan, 2], [3, 3]])
    assert np.isnan(verdicts.lengths_QS).all()  # the argument stays as it was
    own = read_verdicts(made.own(tmp_path / "own.jsonl", [("1", 0, 8, 6)], answer="abcdef"))
    assert with_lengths(own, [ours, None]).lengths_QS[0, 0] == 6
    other = made.write(tmp_path / "other.jsonl", [{"question_id": 77, "answer": "x"}])
    with pytest.raises(EvaluationError, match=r"other\.jsonl answers none of the questions in .*v\.jsonl\. Give the answers"):
        with_lengths(verdicts, [other, None])


def test_a_folder_is_looked_through_for_the_models_name_and_not_left(tmp_path, verdicts):
    made.write(tmp_path / "run" / "rd_1.jsonl", [{"question_id": 1, "answer": "abc"}])
    for folder in (tmp_path, tmp_path / "run"):
        assert with_lengths(verdicts, [folder, None]).lengths_QS[0, 0] == 3
    with pytest.raises(PoolError, match="has no answers of 'gpt'"):
        with_lengths(verdicts, [None, tmp_path])
    made.write(tmp_path / "secret.jsonl", [{"question_id": "a", "answer": "a"}])
    for name in ("../secret", "run/../../secret", str(tmp_path / "secret"), ""):
        found = read_verdicts(made.own(tmp_path / "v.jsonl", [("a", 0, 8, 6)], ours=name))
        with pytest.raises(PoolError, match="has no answers"):
            with_lengths(found, [tmp_path / "run", None])
