"""Faults of verdict."""

from . import Fault

FAULTS = [
    Fault("evaluation/verdict.py", "100 * ours / opponent", "100 * ours / (ours + opponent)", "tests/evaluation/test_verdict.py"),
    Fault("evaluation/verdict.py", "counts_QO.all(axis=1)", "counts_QO.any(axis=1)", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py",
        "rs_complete=_rs(sums_QS[complete_rows])",
        "rs_complete=_rs(sums_QS)",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "sums_QS[:, 0].sum() / n_judgements",
        "sums_QS[:, 0].sum() / len(questions)",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "ratio_of_sums(sums_QS[:, 0], verdicts.counts_QO[rows].sum(axis=1).astype(np.float64))",
        "ratio_of_sums(sums_QS[:, 0], sums_QS[:, 0])",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "len(scores_OS) == len(verdicts.orders)",
        "len(scores_OS) > 0",
        "tests/evaluation/test_verdict.py",
    ),
    Fault("evaluation/verdict.py", "< SAME", "<= 0", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py",
        "scores_S[0] > scores_S[1] else",
        "scores_S[0] < scores_S[1] else",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "_outcome(scores) for scores in scores_OS",
        "_outcome(means_S) for scores in scores_OS",
        "tests/evaluation/test_verdict.py",
    ),
    Fault("evaluation/verdict.py", 'counts["tie"] / 2', 'counts["tie"]', "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py", "first - second, confidence", "second - first, confidence", "tests/evaluation/test_verdict.py"
    ),
    Fault("evaluation/verdict.py", "difference(of_first, of_second)", "of_first", "tests/evaluation/test_verdict.py"),
    Fault("evaluation/judgements.py", "self.scores_QOS, 0.0)", "self.scores_QOS, 1.0)", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict_layouts.py",
        "shown if judgement.order == 0 else shown[::-1]",
        "shown",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault("evaluation/verdict_layouts.py", " and number != UNREADABLE", "", "tests/evaluation/test_verdict_files.py"),
    Fault(
        "evaluation/verdict_files.py",
        "not min(scale[0], 0) <= score <= scale[1]",
        "not score <= scale[1]",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault("evaluation/verdict_files.py", "scores = (None,) * len(scores)", "pass", "tests/evaluation/test_verdict_files.py"),
    Fault(
        "evaluation/verdict_files.py",
        "None in earlier.scores and None not in scores",
        "True",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault(
        "evaluation/verdict_files.py",
        '[(int(part), "") if part.isdecimal() else (-1, part)',
        "[(-1, part)",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault(
        "evaluation/verdict_table.py",
        "first.counts_QO[pairs_Q2[:, 0]].any(axis=1) & ",
        "",
        "tests/evaluation/test_verdict_table.py",
    ),
    Fault(
        "evaluation/verdict_table.py",
        "headline(second, pairs_Q2[:, 1])",
        "headline(second, pairs_Q2[:, 0])",
        "tests/evaluation/test_verdict_table.py",
    ),
    Fault(
        "evaluation/verdict_table.py", "if interval.low > 0:", "if interval.high > 0:", "tests/evaluation/test_verdict_table.py"
    ),
    Fault("evaluation/answer_lengths.py", ' and ".." not in name.parts', "", "tests/evaluation/test_answer_lengths.py"),
    Fault(
        "evaluation/bootstrap.py", "high, low = value - error", "low, high = value + error", "tests/evaluation/test_bootstrap.py"
    ),
    Fault(
        "evaluation/bootstrap.py",
        "(above_Q - ratio_B[:, None] * below_Q)",
        "(above_Q - below_Q)",
        "tests/evaluation/test_bootstrap.py",
    ),
    Fault("evaluation/bootstrap.py", "/ error_B[has_spread]", "/ error", "tests/evaluation/test_bootstrap.py"),
    Fault(
        "evaluation/length_control.py",
        "np.tanh(delta_Q / (delta_Q.std() or 1.0))",
        "np.tanh(delta_Q * 0)",
        "tests/evaluation/test_length_control.py",
    ),
    Fault("evaluation/length_control.py", " - ridge * (phi_B - prior)", "", "tests/evaluation/test_length_control.py"),
    Fault(
        "evaluation/length_control.py",
        "[[c_B, -b_B], [-b_B, a_B]]",
        "[[c_B, b_B], [b_B, a_B]]",
        "tests/evaluation/test_length_control.py",
    ),
]
