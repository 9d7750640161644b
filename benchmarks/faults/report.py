"""The report page: what it says, what it leaves out, and what hostile text may not do; and who watches a run."""

from . import Fault

REPORT = "tests/report"
PAGE, SAMPLES, FIGURES, RUNS = (f"{REPORT}/test_{name}.py" for name in ("page", "samples", "figures", "runs"))
PROGRESS, TRACKING = "tests/run/test_progress.py", "tests/run/test_tracking.py"

FAULTS = [
    Fault("report/text.py", '"[<>&]"', '"[>&]"', PAGE),
    Fault("report/text.py", "\\u2028-\\u202e", "", PAGE),
    Fault("report/text.py", "[:n_bytes].decode", ".decode", PAGE),
    Fault("report/write.py", "autoescape=True", "autoescape=False", PAGE),
    Fault("report/page/page.html", "default-src 'none'; ", "", PAGE),
    Fault("report/samples.py", 'if turn.role != "system"', "if True", SAMPLES),
    Fault("report/samples.py", "np.concatenate([run.chosen_rows, run.unchoosable_rows])", "run.chosen_rows", SAMPLES),
    Fault("report/samples.py", "np.searchsorted(self.rows_N, rows)", "rows", SAMPLES),
    Fault("report/samples.py", "reversed(run.rounds)", "run.rounds", SAMPLES),
    Fault("report/map.py", "if width < 2 or", "if width < 1 or", SAMPLES),
    Fault("report/curves.py", "ddof=1", "ddof=0", FIGURES),
    Fault("report/coverage.py", "np.array([chosen[name] for name in names]) / max(1, len(known))", 'shares["pool"]', FIGURES),
    Fault("report/curves.py", '"below" if measure["is_lower_better"] else "above"', '"above"', FIGURES),
    Fault("report/curves.py", '(measure["name"], "samples")', '(measure["name"], "flops")', FIGURES),
    Fault("report/runs.py", "FOLDER_NAME.fullmatch(arm)", "FOLDER_NAME.match(arm)", RUNS),
    Fault("report/runs.py", '(run["arm"] == FULL, run["arm"] == RANDOM)', "0", RUNS),
    Fault("report/findings.py", 'line.get("is_dropped")', 'not line.get("is_dropped")', REPORT),
    Fault("report/findings.py", "known[N_EACH:][-N_EACH:]", "known[-N_EACH:]", REPORT),
    Fault("run/progress.py", "word.process != holder", "False", PROGRESS),
    Fault("run/progress.py", "if time.monotonic() - self.written >= EVERY", "if True", PROGRESS),
    Fault("run/progress.py", "not word.process.endswith", "word.process.endswith", PROGRESS),
    Fault(
        "cli/status.py",
        'state.state == "finished" or not may_start',
        'state.state == "finished"',
        "tests/cli/test_status.py",
    ),
    Fault("run/tracking.py", "bill for each in metrics for", "bill for each in metrics[-1:] for", TRACKING),
    Fault("run/tracking.py", "for bill in bills if bill) + step", "for bill in bills if bill)", TRACKING),
]
