"""Two and three processes write what one writes; FSDP in lockstep too; an error of one rank is every rank's."""

import subprocess
import sys
from copy import copy
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from diverseevol.base.progress import SILENT
from diverseevol.config import EmbedConfig
from diverseevol.evaluation.loss import heldout_losses
from diverseevol.models.embed import open_embeddings, open_signals
from diverseevol.models.sentence import load_outer
from diverseevol.selection import Signal


@pytest.mark.skipif(0 < torch.cuda.device_count() < 3, reason="one GPU a process")
def test_two_and_three_processes_write_as_one_does(llama, make_tokens, embed, signals_of, small_shards, tmp_path, request):
    tokens = make_tokens(n_rows=40)
    np.save(tmp_path / "flat.npy", np.concatenate(tokens.rows))
    np.save(tmp_path / "n_tokens.npy", tokens.n_tokens)
    llama.save_pretrained(tmp_path / "model")
    outer = request.getfixturevalue("outer_model") if find_spec("sentence_transformers") else None
    if outer:
        (tmp_path / "outer.txt").write_text(str(outer))
    script = str(Path(__file__).with_name("embed_on_ranks.py"))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "3", script, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr[-4000:]
    alone_ND, report = embed(llama, tokens, tmp_path / "one", tokens_per_batch=64)
    for name in ("two", "three"):
        np.testing.assert_array_equal(np.load(tmp_path / name / "embeddings.npy"), alone_ND)
        assert_signals_equal(tmp_path / f"{name}-signals", llama, tokens, signals_of)
    if outer:
        model = load_outer(str(outer), EmbedConfig())
        expected = [model.encode([f"text {row} " * (row % 9)])[0] for row in range(40)]
        np.testing.assert_allclose(open_embeddings(tmp_path / "outer"), expected, atol=1e-6)
        assert len({(tmp_path / f"outer-report-{rank}.txt").read_text() for rank in range(3)}) == 1
    np.testing.assert_allclose(np.load(tmp_path / "fsdp" / "embeddings.npy"), alone_ND, atol=1e-6)
    saved = {(name, rank): np.load(tmp_path / f"losses-{name}-{rank}.npy") for name in ("plain", "fsdp") for rank in range(3)}
    tokens.mask = lambda row: np.arange(tokens.n_tokens[row]) > 1
    expected = heldout_losses(llama, tokens, SILENT)
    assert all(losses == pytest.approx(expected, rel=1e-5) for losses in saved.values())
    reports = {(tmp_path / f"report-{rank}.txt").read_text() for rank in range(3)}
    assert len(reports) == 1 and f"n_tokens_now={report.n_tokens}," in reports.pop()
    messages = {(tmp_path / f"nan-{rank}.txt").read_text() for rank in range(3)}
    assert len(messages) == 1 and "are NaN or infinite: ids id-" in messages.pop()
    assert not (tmp_path / "nan" / "embeddings.npy").exists()


def assert_signals_equal(folder, llama, tokens, signals_of):
    some = copy(tokens)
    some.rows = [row for row in tokens.rows if len(row) > 2]
    some.__post_init__()
    some.mask = lambda row: np.arange(some.n_tokens[row]) > 1
    alone, _ = signals_of(llama, some, folder / "alone", tokens_per_batch=64, signals=frozenset(Signal))
    found = open_signals(folder)
    assert list(found) == list(alone) == [signal.value for signal in Signal if signal is not Signal.EMBEDDING]
    for name, values in alone.items():
        np.testing.assert_array_equal(found[name], values)
    np.testing.assert_array_equal(open_embeddings(folder), open_embeddings(folder / "alone"))
