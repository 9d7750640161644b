import json
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from diverseevol.cli import select as module
from diverseevol.cli.app import app
from diverseevol.cli.select import COMPUTE
from diverseevol.data import Pool
from diverseevol.errors import ConfigError
from diverseevol.models.embed import open_signals
from diverseevol.selection import Signal


@pytest.mark.parametrize("names", ["loss,los", "loss,"])
def test_names_of_signals_are_checked(names, tmp_path):
    words = ["embed", "--pool", "p", "--model", "m", "--out", str(tmp_path / "e"), "--signals", names]
    ended = CliRunner().invoke(app, words)
    assert isinstance(ended.exception, ConfigError)
    assert f"no signal is called {names[5:]!r}. Known: embedding, paper_confidence, " in str(ended.exception)


def test_signals_go_to_a_file_beside_the_embeddings(made_model, pool_file, tmp_path):
    command = [sys.executable, "-m", "diverseevol", "embed", "--pool", pool_file, "--model", made_model, "--out", tmp_path / "e"]
    for signals, files in (
        ("loss,paper_margin", ["signals.parquet"]),
        ("embedding,answer_loss", ["embeddings.npy", "signals.parquet"]),
    ):
        ended = subprocess.run([*map(str, command), "--signals", signals], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        assert all(name in (ended.stdout + ended.stderr).replace("\n", "") for name in files)
        assert (tmp_path / "e" / "embeddings.npy").exists() == ("embeddings.npy" in files)
    assert list(open_signals(tmp_path / "e")) == ["paper_margin", "loss", "answer_loss"]
    assert [len(values) for values in open_signals(tmp_path / "e").values()] == [200] * 3


def test_the_help_names_every_signal():
    assert set(Signal) <= set(re.findall(r"\w+", COMPUTE))


def test_a_budget_in_tokens_over_what_embed_left(made_model, pool_file, tmp_path):
    call = CliRunner().invoke
    words = ["--pool", pool_file, "--model", made_model, "--out", tmp_path / "v", "prompt.max_length=256"]
    ended = call(app, ["embed", *map(str, words)])
    assert ended.exit_code == 0, ended.output
    n_tokens = Pool.open(tmp_path / "v/pool").n_tokens
    words = ["--embeddings", tmp_path / "v/embeddings.npy", "--tokens", 600, "--out", tmp_path / "p.jsonl"]
    assert call(app, ["select", *map(str, words)]).exit_code == 0
    rows = [json.loads(line)["row"] for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert 600 - n_tokens.max() < n_tokens[rows].sum() <= 600
    (tmp_path / "v/ids.txt").unlink()
    np.save(tmp_path / "v/embeddings.npy", np.ones((3, 4), np.float32) * np.arange(3)[:, None])  # of another pool
    ended = call(app, ["select", *map(str, words[:-1]), str(tmp_path / "q.jsonl")])
    assert "needs a column 'n_tokens', which is not there" in str(ended.exception)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pool", "p", "--n-new", "3"), "to embed, give --pool and either --model or --outer"),
        (("--pool", "p", "--model", "m", "--outer", "o"), "to embed, give --pool and either --model or --outer"),
        (("--pool", "p", "--model", "m", "--n-new", "3"), "--embeddings names the vectors to pick from"),
        (("--n-new", "3"), "give --embeddings to pick from, or --pool and --model to embed"),
        (("--embeddings", "x.npy"), "give either --n-new or --tokens"),
    ],
)
def test_what_select_needs(words, message):
    ended = CliRunner().invoke(app, ["select", "--out", "o", *words], env={"COLUMNS": "300"})
    assert ended.exit_code == 2
    assert message in " ".join(ended.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "."), "--out . is a folder"),
        (("--chosen", "no.txt"), "there is no file 'no.txt'"),
        (("--strategy", "loss"), "Give --compute embedding,loss."),
        (("selection.metric=cosine",), "'selection.metric=cosine' is a key of runs"),
        (("seed=3",), "'seed=3' is a key of runs"),
    ],
)
def test_what_the_picking_would_refuse_is_refused_before_anything_is_embedded(words, message, tmp_path):
    given = ["--pool", "p", "--model", "m", "--embeddings", str(tmp_path / "v"), "--n-new", "3"]
    ended = CliRunner().invoke(app, ["select", *given, "--out", str(tmp_path / "p.jsonl"), *words])
    assert ended.exit_code and message in " ".join(f"{ended.exception} {ended.output}".replace("│", " ").split())
    assert not (tmp_path / "v").exists()


def test_a_killed_selection_that_left_an_empty_file_begins_anew(tmp_path):
    np.save(tmp_path / "X.npy", np.eye(5, dtype=np.float32))
    (tmp_path / "p.jsonl.unfinished").touch()
    words = ["select", "--embeddings", tmp_path / "X.npy", "--n-new", "2", "--out", tmp_path / "p.jsonl"]
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == 2


def test_signals_may_lie_beside_the_vectors_or_in_a_file_and_the_seed_draws_only(tmp_path, monkeypatch):
    embedded = []
    monkeypatch.setattr(module, "_embed", lambda given, *rest: embedded.append(given["seed"]))
    np.save(tmp_path / "embeddings.npy", np.eye(4, dtype=np.float32))
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"loss": {row}}}\n' for row in range(4)))
    words = ["--pool", "p", "--model", "m", "--embeddings", tmp_path, "--n-new", 1, "--strategy", "loss", "--seed", 7]
    words += ["--out", tmp_path / "p.jsonl", "--columns", tmp_path / "rows.jsonl"]
    ended = CliRunner().invoke(app, ["select", *map(str, words)])
    assert ended.exit_code == 0, ended.exception
    assert json.loads((tmp_path / "p.jsonl").read_text())["row"] == 3
    (tmp_path / "signals.parquet").touch()
    module._check_picking(tmp_path / "q.jsonl", (None,), "loss", {"loss"}, [Signal.EMBEDDING], tmp_path)
    assert embedded == [None]
