"""Faults of verdict."""

from . import Fault

FAULTS = [
    Fault(
        "evaluation/scoring.py",
        "float(100 * ours / opponent)",
        "100 * ours / (ours + opponent)",
        "tests/evaluation/test_scoring.py",
    ),
    Fault("evaluation/scoring.py", "counts_QO.all(axis=1)", "counts_QO.any(axis=1)", "tests/evaluation/test_scoring.py"),
    Fault(
        "evaluation/scoring.py",
        "rs_complete=_rs(sums_QS[complete_rows])",
        "rs_complete=_rs(sums_QS)",
        "tests/evaluation/test_scoring.py",
    ),
    Fault(
        "evaluation/scoring.py",
        "sums_QS.sum(axis=0) / n_judgements",
        "sums_QS.sum(axis=0) / len(verdicts.question_ids)",
        "tests/evaluation/test_scoring.py",
    ),
    Fault(
        "evaluation/scoring.py",
        "len(scores_OS) == len(verdicts.orders)",
        "len(scores_OS) > 0",
        "tests/evaluation/test_scoring.py",
    ),
    Fault("evaluation/scoring.py", "< SAME", "<= 0", "tests/evaluation/test_scoring.py"),
    Fault(
        "evaluation/scoring.py",
        '"win" if ours > opponent else',
        '"win" if ours < opponent else',
        "tests/evaluation/test_scoring.py",
    ),
    Fault(
        "evaluation/scoring.py",
        "_outcome(*scores) for scores in",
        "_outcome(ours, opponent) for scores in",
        "tests/evaluation/test_scoring.py",
    ),
    Fault("evaluation/scoring.py", "(wins + ties / 2)", "(wins + ties)", "tests/evaluation/test_scoring.py"),
    Fault(
        "evaluation/scoring.py", "first - second, confidence", "second - first, confidence", "tests/evaluation/test_scoring.py"
    ),
    Fault(
        "evaluation/scoring.py",
        "difference(_ratio(sums_OQS[0]), _ratio(sums_OQS[1]))",
        "_ratio(sums_OQS[0])",
        "tests/evaluation/test_scoring.py",
    ),
    Fault("evaluation/verdict_files.py", "self.scores_QOS, 0.0)", "self.scores_QOS, 1.0)", "tests/evaluation/test_scoring.py"),
    Fault("evaluation/verdict_files.py", " and number != UNREADABLE", "", "tests/evaluation/test_scoring.py"),
    Fault(
        "evaluation/verdict_files.py",
        "None in earlier.scores and None not in one.scores",
        "True",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault(
        "evaluation/verdict_files.py",
        '[(int(part), "") if part.isdecimal() else (-1, part)',
        "[(-1, part)",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault("evaluation/scoring.py", "first.counts_QO[row].any() and ", "", "tests/evaluation/test_scoring.py"),
    Fault(
        "evaluation/scoring.py",
        "second.sums_QS[others_Q]",
        "second.sums_QS[ours_Q]",
        "tests/evaluation/test_scoring.py",
    ),
    Fault("evaluation/scoring.py", ' and ".." not in name.parts', "", "tests/evaluation/test_scoring.py"),
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
    Fault(
        "evaluation/verdict_files.py",
        "not min(low, 0) <= score <= high",
        "not score <= high",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault(
        "evaluation/verdict_files.py", "one = one._replace(scores=(None, None))", "pass", "tests/evaluation/test_verdict_files.py"
    ),
    Fault(
        "evaluation/paired.py",
        "(high < 0) == is_lower_better",
        "(low < 0) != is_lower_better",
        "tests/evaluation/test_scoring.py",
    ),
]
