import numpy as np
import pytest
import verdicts_made as made

from diverseevol.evaluation import bootstrap
from diverseevol.evaluation.bootstrap import confidence_interval, ratio_of_sums
from diverseevol.evaluation.scoring import score_file
from diverseevol.evaluation.verdict_files import read_verdicts


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(bootstrap, "N_DRAWS", 200)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("baseline_dolly/rd_0", (1, 3, 76)),
        ("kc_dolly_initRAND100/rd_6", (6, 10, 64)),
        ("kc_dolly_initRAND100/rd_10", (2, 3, 75)),
    ],
)
def test_gives_the_published_wins(shared_data, file, expected):
    tally = score_file(read_verdicts(shared_data / "verdicts" / "vicuna_test" / f"{file}_vs_chat.jsonl")).tally
    assert (tally.wins, tally.ties, tally.losses) == expected


# Four questions in both orders. Ours / theirs, ours first; then ours second:
#   a  8 6   7 7     15 : 13   win, and with ours second a tie: changed
#   b  5 9   6 8     11 : 17   loss in both
#   c  7 8   8 7     15 : 15   tie by loss and win: changed
#   d  9 4   9 3     18 :  7   win in both
FOUR = [
    ("a", 0, 8, 6),
    ("a", 1, 7, 7),
    ("b", 0, 5, 9),
    ("b", 1, 6, 8),
    ("c", 0, 7, 8),
    ("c", 1, 8, 7),
    ("d", 0, 9, 4),
    ("d", 1, 9, 3),
]


def score_of(tmp_path, rows, **extra):
    return score_file(read_verdicts(made.own(tmp_path / "v.jsonl", rows, **extra)))


def test_four_questions_worked_out_by_hand(tmp_path):
    score = score_of(tmp_path, FOUR)
    assert (score.ours, score.opponent) == ("m", "them")
    assert (score.n_questions, score.n_judged, score.n_complete, score.n_judgements) == (4, 4, 4, 8)
    assert score.rs == score.rs_complete == pytest.approx(100 * 59 / 52)
    assert (score.mean_score, score.opponent_mean_score) == (59 / 8, 52 / 8)
    assert score.rs_of_questions == pytest.approx(100 * (15 / 13 + 11 / 17 + 1 + 18 / 7) / 4)
    assert (score.tally.wins, score.tally.ties, score.tally.losses) == (2, 1, 1)
    assert score.tally.win_rate == 62.5
    assert score.tally.share_changed == 0.5
    assert score.orders.first == pytest.approx(100 * 29 / 27)
    assert score.orders.second == pytest.approx(100 * 30 / 25)
    assert score.orders.effect == pytest.approx(100 * (29 / 27 - 30 / 25))
    assert score.interval is None  # four questions say nothing of their own spread


def test_each_question_by_itself(tmp_path):
    score = score_of(tmp_path, FOUR)
    assert [question.question_id for question in score.questions] == ["a", "b", "c", "d"]
    assert [question.outcome for question in score.questions] == ["win", "lose", "tie", "win"]
    assert [question.is_changed for question in score.questions] == [True, False, True, False]
    first = score.questions[0]
    assert (first.score, first.opponent_score) == (7.5, 6.5)
    assert first.rs == pytest.approx(100 * 15 / 13)


def test_a_judgement_that_cannot_be_read_takes_nothing_else_along(tmp_path):
    rows = [*FOUR[:7], ("d", 1, None, None)]
    score = score_of(tmp_path, rows)
    assert (score.n_judged, score.n_complete, score.n_judgements) == (4, 3, 7)
    assert score.rs == pytest.approx(100 * 50 / 49)
    assert score.rs_complete == pytest.approx(100 * 41 / 45)
    assert (score.tally.wins, score.tally.ties, score.tally.losses) == (1, 1, 1)
    assert score.tally.share_changed == pytest.approx(2 / 3)
    assert score.orders.second == pytest.approx(100 * 21 / 22)
    half = score.questions[3]
    assert (half.score, half.opponent_score, half.outcome, half.is_changed) == (9, 4, None, None)
    assert made.kinds(score.problems) == [("unreadable", "d", 1)]


def test_nothing_readable_at_all(tmp_path):
    score = score_of(tmp_path, [("a", 0, None, 3), ("a", 1, -1, -1)])
    assert (score.rs, score.mean_score, score.tally, score.orders, score.lengths, score.interval) == (None,) * 6
    assert made.kinds(score.problems) == [("unreadable", "a", 0), ("unreadable", "a", 1)]


def test_tenths_that_average_to_the_same_are_a_tie(tmp_path):
    assert 1.1 + 2.2 > 1.4 + 1.9
    rows = [("a", 0, 1.1, 1.4), ("a", 1, 2.2, 1.9), ("b", 0, 1.4, 1.1), ("b", 1, 1.9, 2.2)]
    assert score_of(tmp_path, rows).tally.ties == 2


def test_one_order_only(tmp_path):
    score = score_of(tmp_path, [row for row in FOUR if row[1] == 1])
    assert score.rs == pytest.approx(120)
    assert (score.tally.wins, score.tally.ties, score.tally.losses) == (2, 1, 1)
    assert (score.orders, score.tally.share_changed) == (None, None)
    assert not score.problems


def many(n, seed=0):
    rng = np.random.default_rng(seed)
    return [(f"q{q}", order, *rng.integers(1, 11, 2).tolist()) for q in range(n) for order in (0, 1)]


def test_intervals_draw_questions_with_both_orders_together(tmp_path):
    rows = many(30)
    score = score_of(tmp_path, rows)
    numbers = np.array([row[2:] for row in rows], dtype=float).reshape(30, 2, 2)
    sums = numbers.sum(axis=1)
    assert score.interval == confidence_interval(ratio_of_sums(100 * sums[:, 0], sums[:, 1]), 30)
    first, second = (ratio_of_sums(100 * numbers[:, order, 0], numbers[:, order, 1]) for order in (0, 1))
    assert score.orders.interval == confidence_interval(bootstrap.difference(first, second), 30)
    assert score.orders.interval.low < score.orders.effect < score.orders.interval.high


def test_lengths_are_those_of_the_questions_that_count(tmp_path):
    rows, rng = many(20), np.random.default_rng(1)
    lengths = {f"q{q}": rng.integers(5, 50, 2).tolist() for q in range(20)}
    lines = [
        {
            "question_id": q,
            "order": o,
            "score": None if q == "q3" else s,
            "opponent_score": t,
            "answer": "x" * lengths[q][0],
            "opponent_answer": "y" * lengths[q][1],
        }
        for q, o, s, t in rows
    ]
    found = score_file(read_verdicts(made.write(tmp_path / "v.jsonl", lines)))
    kept = [f"q{q}" for q in range(20) if q != 3]
    assert found.lengths.n_questions == 19
    assert found.lengths.mean == np.mean([lengths[q][0] for q in kept])
    assert found.lengths.opponent_mean == np.mean([lengths[q][1] for q in kept])
    means = [np.mean([s for name, _, s, _ in rows if name == q]) for q in kept]
    logs = np.log([1 + lengths[q][0] for q in kept])
    assert found.lengths.correlation == pytest.approx(np.corrcoef(means, logs)[0, 1])
    assert found.lengths.controlled is not None
    assert found.lengths.controlled_win_rate is not None
