"""What asks a judge on loopback."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def asking(tmp_path):
    """Judgements asked of a judge at an address: (what happened, the replies stored for each)."""
    pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")
    from diverseevol.base.progress import SILENT
    from diverseevol.evaluation.api_client import ApiClient
    from diverseevol.evaluation.judge.asking import Limits, ask_all, is_settled
    from diverseevol.evaluation.judge.cost import Budget, Prices, spent_tokens
    from diverseevol.evaluation.judge.pairs import Judgement
    from diverseevol.evaluation.judge.request import Judge
    from diverseevol.evaluation.judge.store import open_store
    from diverseevol.evaluation.judge.template import load_template

    judge = Judge("judge", load_template("pairwise"), {"temperature": 0, "max_tokens": 50})

    def ask(url, n=4, limit=None, timeout=5.0, watch=SILENT, key=None, **limits):
        limits = Limits(**{"first_wait": 0.01, **limits})
        judgements = [Judgement(i, order, f"Q{i}", None, f"a{i} worth 3", f"b{i} worth 8") for i in range(n) for order in (0, 1)]
        different = judge.by_key(judgements)
        with open_store(tmp_path / "replies.sqlite") as store:
            stored = store.replies(different)
            n_stored = {key: len(stored.get(key, ())) for key in different}
            todo = [key for key in different if not is_settled(stored.get(key, []), judge, limits.attempts)]
            todo = [(key, different[key], n_stored[key]) for key in todo]
            spent = spent_tokens([reply for replies in stored.values() for reply in replies]) + store.broken_off(different)
            budget = Budget(limit, Prices(10_000, 10_000) if limit is not None else None, spent)
            asked = ask_all(judge, ApiClient(url, key, timeout), todo, store, budget, limits, watch)
            return SimpleNamespace(
                asked=asked,
                judge=judge,
                judgements=judgements,
                replies=[store.replies(different).get(key, []) for key in different],
                broken_off=store.broken_off(different),
            )

    return ask
