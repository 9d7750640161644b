"""A judge on loopback, and what asks it."""

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

_spec = importlib.util.spec_from_file_location("judge_server", Path(__file__).parents[1] / "judge_server.py")
judge_server = importlib.util.module_from_spec(_spec)
sys.modules["judge_server"] = judge_server  # dataclasses look their module up
_spec.loader.exec_module(judge_server)


@pytest.fixture
def server():
    """The module: `server.serving(respond)` opens a judge that responds so."""
    return judge_server


@pytest.fixture
def client_of():
    """A client of a judge; `ask` sends one request and waits."""
    pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")
    from diverseevol.evaluation.judge.client import JudgeClient

    def make(url, key=None, timeout=5.0, model="judge"):
        async def ask(text="worth 1 worth 2", **sampling):
            async with JudgeClient(model, url, key, timeout) as client:
                return await client.ask([{"role": "user", "content": text}], sampling, "name-0")

        return SimpleNamespace(ask=lambda *words, **sampling: asyncio.run(ask(*words, **sampling)))

    return make


@pytest.fixture
def asking(tmp_path):
    """Judgements asked of a judge at an address: (what happened, the replies stored for each)."""
    pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")
    from diverseevol.evaluation.judge.asking import Limits, ask_all, is_settled
    from diverseevol.evaluation.judge.client import JudgeClient
    from diverseevol.evaluation.judge.cost import Budget, Prices, spent_tokens
    from diverseevol.evaluation.judge.pairs import Judgement
    from diverseevol.evaluation.judge.request import Judge, Request
    from diverseevol.evaluation.judge.store import open_store
    from diverseevol.evaluation.judge.template import load_template
    from diverseevol.progress import SILENT

    judge = Judge("judge", load_template("pairwise"), {"temperature": 0, "max_tokens": 50})

    def ask(url, n=4, limit=None, timeout=5.0, watch=SILENT, key=None, **limits):
        limits = Limits(**{"first_wait": 0.01, **limits})
        judgements = [Judgement(i, order, f"Q{i}", None, f"a{i} worth 3", f"b{i} worth 8") for i in range(n) for order in (0, 1)]
        requests = Request.all_of(judge, judgements)
        with open_store(tmp_path / "replies.sqlite") as store:
            stored = store.replies(requests)
            todo = [
                (requests[k], len(stored.get(k, ())))
                for k in requests
                if not is_settled(stored.get(k, []), judge, limits.attempts)
            ]
            spent = spent_tokens([reply for replies in stored.values() for reply in replies]) + store.broken_off(requests)
            budget = Budget(limit, Prices(10_000, 10_000) if limit is not None else None, spent)
            asked = ask_all(judge, JudgeClient("judge", url, key, timeout), todo, store, budget, limits, watch)
            return SimpleNamespace(
                asked=asked,
                judge=judge,
                judgements=judgements,
                replies=[store.replies(requests).get(k, []) for k in requests],
                broken_off=store.broken_off(requests),
            )

    return ask
