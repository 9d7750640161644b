"""Run folders made without a model, shared by the tests of the report."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("made_runs", Path(__file__).with_name("made_runs.py"))
made_runs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made_runs)


@pytest.fixture(scope="session")
def made():
    """The maker of run folders."""
    return made_runs


@pytest.fixture(scope="session")
def opened():
    """Open the runs of folders, as the page does."""
    from diverseevol.report.runs import open_subject

    return lambda *roots: open_subject([Path(root) for root in roots])


@pytest.fixture(scope="session")
def whole_run(made, tmp_path_factory):
    """A run with everything that a page can show."""
    run = made.make_run(tmp_path_factory.mktemp("whole") / "a", vectors=made.vectors(60))
    made.add_diversity(run)
    made.add_verdicts(run, 0, [(5, 6), (4, 8), (6, 6), (7, 7), (2, 4)] * 3)
    made.add_verdicts(run, 2, [(8, 5), (3, 9), (6, 6), (7, 2), (2, 4)] * 3)
    return run.root


@pytest.fixture(scope="session")
def hostile_run(made, tmp_path_factory):
    """A run of which every text is hostile: records, labels, bad rows, duplicates, verdicts."""
    run = made.make_run(tmp_path_factory.mktemp("hostile") / "a", made.hostile_records(), vectors=made.vectors(46))
    made.add_diversity(run, embeddings=made.hostile.NASTY[3])
    made.add_verdicts(run, 2, [(8, 5), (3, 9)], answer=made.hostile.NASTY[0], other=made.hostile.NASTY[15])
    bad = [
        {"source": "<b>", "row": at, "line": 1, "reason": text[:300], "text": text} for at, text in enumerate(made.hostile.NASTY)
    ]
    made.add_lines(run.pool_dir / "quarantine.jsonl", bad)
    made.add_lines(
        run.pool_dir / "contamination.jsonl",
        [{"id": text, "benchmark": text, "question_id": text, "matched": text} for text in made.hostile.NASTY],
    )
    return run.root
