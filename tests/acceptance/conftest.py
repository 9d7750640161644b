"""What users rely on, held from outside: the command line, the public names, the files of a run folder.

No test here imports an internal module or patches anything, so that the suite survives a redesign of the inside.
"""

import pytest
from outside import QUICK, TOOLS, make_model, must, pool_rows, run_cli, write_jsonl


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A tiny random Llama with a ChatML template; every text can be tokenised."""
    return make_model(tmp_path_factory.mktemp("models") / "chatml")


@pytest.fixture(scope="session")
def pool(tmp_path_factory):
    """120 rows in the Alpaca layout as JSONL."""
    return write_jsonl(tmp_path_factory.mktemp("pools") / "pool.jsonl", pool_rows(120))


@pytest.fixture(scope="session")
def finished_run(model, pool, tmp_path_factory):
    """The folder of a finished run: 120 rows, 8 at first, two rounds of 4 by K-Center; every round's model and signals are kept."""
    out = tmp_path_factory.mktemp("finished") / "run"
    options = ("--pool", pool, "--model", model, "--out", out, "--rounds", 2, "--n-init", 8, "--n-new", 4)
    must(run_cli("run", *options, *QUICK, "keep=all", "keep_signals=all"))
    return out


@pytest.fixture(scope="session")
def tool_model(tmp_path_factory):
    """The same with a template that writes tools, calls with their ids, and results with theirs."""
    return make_model(tmp_path_factory.mktemp("models") / "tools", template=TOOLS, added=("<tool_call>", "</tool_call>"))
