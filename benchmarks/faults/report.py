"""The report page: what it says, what it leaves out, and what hostile text may not do; and who watches a run."""

from . import Fault

REPORT = "tests/report"
WATCHING, TRACKING = "tests/test_watching.py", "tests/tracking"

FAULTS = [
    Fault("report/text.py", '"[<>&]"', '"[>&]"', f"{REPORT}/test_text.py"),
    Fault("report/text.py", "\\u202a-\\u202e", "", f"{REPORT}/test_text.py"),
    Fault("report/text.py", "kept = encoded[:n_bytes]", "kept = encoded", f"{REPORT}/test_text.py"),
    Fault("report/html.py", "autoescape=True", "autoescape=False", f"{REPORT}/test_html.py"),
    Fault("report/page/page.html", "default-src 'none'; ", "", f"{REPORT}/test_html.py"),
    Fault("report/samples.py", "np.array(unique[:N_POINTS]", "np.array(unique", f"{REPORT}/test_samples.py"),
    Fault("report/samples.py", 'if turn.role != "system"', "if True", f"{REPORT}/test_samples.py"),
    Fault("report/samples.py", "> TEXT_BYTES and max(limits) > 1", "< 0", f"{REPORT}/test_samples.py"),
    Fault("report/vectors.py", "np.searchsorted(self.rows, pool_rows)", "pool_rows", f"{REPORT}/test_vectors.py"),
    Fault("report/vectors.py", "reversed(run.rounds)", "run.rounds", f"{REPORT}/test_vectors.py"),
    Fault(
        "report/neighbours.py", "vectors.known_rows, barred_rows", "vectors.known_rows, picks_C", f"{REPORT}/test_neighbours.py"
    ),
    Fault("report/projection.py", "if width < 2 or", "if width < 1 or", f"{REPORT}/test_projection.py"),
    Fault("report/curves.py", "ddof=1", "ddof=0", f"{REPORT}/test_curves.py"),
    Fault("report/curves.py", "if sets and not any(", "if sets and any(", f"{REPORT}/test_curves.py"),
    Fault("report/runs.py", 'and int(match["round"]) in self.rounds', "", f"{REPORT}/test_runs.py"),
    Fault("report/runs.py", "FOLDER_NAME.fullmatch(arm)", "FOLDER_NAME.match(arm)", f"{REPORT}/test_runs.py"),
    Fault("report/runs.py", "(pair[0] == FULL, pair[0] == RANDOM)", "0", f"{REPORT}/test_runs.py"),
    Fault("report/cost.py", '        bills.append({"train": final})\n', "", f"{REPORT}/test_cost.py"),
    Fault("report/cost.py", 'plan["rounds"][: len(run.rounds)]', 'plan["rounds"]', f"{REPORT}/test_cost.py"),
    Fault("report/coverage.py", "[chosen[name] / n for", "[chosen[name] / len(groups) for", f"{REPORT}/test_coverage.py"),
    Fault(
        "report/picks.py", "np.concatenate([run.chosen_rows, run.unchoosable_rows])", "run.chosen_rows", f"{REPORT}/test_picks.py"
    ),
    Fault("report/problems.py", 'if line["is_dropped"]', 'if not line["is_dropped"]', f"{REPORT}/test_problems.py"),
    Fault("report/verdict_examples.py", "scored[N_EACH:][-N_EACH:]", "scored[-N_EACH:]", f"{REPORT}/test_verdict_examples.py"),
    Fault(
        "report/differences.py",
        'yield measure["title"], found[-1]',
        'yield measure["title"], found[0]',
        f"{REPORT}/test_summary.py",
    ),
    Fault(
        "report/differences.py", '"below" if measure["is_lower_better"] else "above"', '"above"', f"{REPORT}/test_differences.py"
    ),
    Fault(
        "report/differences.py", '(measure["name"], "samples")]', '(measure["name"], "flops")]', f"{REPORT}/test_differences.py"
    ),
    Fault("report/summary.py", "is_more = costs.ratio > 1", "is_more = costs.ratio > 2", f"{REPORT}/test_summary.py"),
    Fault("watching.py", 'word["process"] != holder', "False", WATCHING),
    Fault("watching.py", "if silent < QUIET:", "if True:", WATCHING),
    Fault("watching.py", "self.has_heard = self.mark is not None", "self.has_heard = True", WATCHING),
    Fault("run_folder/record_progress.py", "or now - at >= AT_REST", "", "tests/test_record_progress.py"),
    Fault(
        "cli/status.py",
        'state["state"] == "finished" or not may_start',
        'state["state"] == "finished"',
        "tests/cli/test_status.py",
    ),
    Fault("tracking/series.py", "bill for each in metrics for", "bill for each in metrics[-1:] for", TRACKING),
    Fault("tracking/loop_tracking.py", "for bill in before) + step", "for bill in before)", TRACKING),
]
