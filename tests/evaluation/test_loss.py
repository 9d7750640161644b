from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from diverseevol.base import dist
from diverseevol.base.progress import SILENT
from diverseevol.errors import NonFiniteError
from diverseevol.evaluation import loss

ROWS = [np.random.default_rng(row).integers(5, 500, 6 + 3 * (row % 7)) for row in range(25)]
MASKS = [np.arange(len(ids)) >= 3 for ids in ROWS]


class Tokens:
    n_tokens = np.array([len(ids) for ids in ROWS])
    n_trained = np.array([int(mask.sum()) for mask in MASKS])
    ids = staticmethod(ROWS.__getitem__)
    mask = staticmethod(MASKS.__getitem__)

    def __len__(self):
        return len(ROWS)


@pytest.mark.parametrize("bound", [1, 30_000, 1 << 24])
def test_equals_one_row_at_a_time_whatever_the_batch(made_model, monkeypatch, bound):
    monkeypatch.setattr(loss, "LOGITS_A_BATCH", bound)
    model = AutoModelForCausalLM.from_pretrained(made_model).train()
    sums = loss.heldout_losses(model, Tokens(), SILENT)
    assert model.training
    model.eval()
    for row, (ids, mask) in enumerate(zip(ROWS, MASKS, strict=True)):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(ids)[None]).logits[0]
        losses = cross_entropy(logits[:-1], torch.tensor(ids)[1:], reduction="none")
        assert sums[row] == pytest.approx(float(losses[torch.tensor(mask)[1:]].sum()), rel=1e-5)


def test_a_plain_loop_over_tokens_gives_the_same(made_model):
    """The definition: every trained token's negative log probability, summed in a loop, by rows of any group."""
    model = AutoModelForCausalLM.from_pretrained(made_model).eval()
    groups = [f"g{row % 3}" for row in range(len(ROWS))]
    found: dict[str, list[float]] = {}
    for row, (ids, mask) in enumerate(zip(ROWS, MASKS, strict=True)):
        with torch.no_grad():
            shares = model(input_ids=torch.tensor(ids)[None]).logits[0].double().log_softmax(-1)
        for place in range(1, len(ids)):
            if mask[place]:
                found.setdefault(groups[row], []).append(-float(shares[place - 1, ids[place]]))
    result = loss.loss_per_token(loss.heldout_losses(model, Tokens(), SILENT), Tokens.n_trained, groups)
    means = {group: np.mean(losses) for group, losses in found.items()}
    assert result["by_group"] == pytest.approx(means, rel=1e-5)
    assert result["loss"] == pytest.approx(np.mean(np.concatenate(list(found.values()))), rel=1e-5)
    assert result["balanced_loss"] == pytest.approx(np.mean(list(means.values())), rel=1e-5)
    assert result["worst_group"] == max(means, key=means.get)


def test_losses_that_are_not_finite_name_the_row(made_model):
    model = AutoModelForCausalLM.from_pretrained(made_model)
    with torch.no_grad():
        model.get_input_embeddings().weight[int(ROWS[4][5])] = float("nan")
    with pytest.raises(NonFiniteError, match=r"held-out loss of \d+ rows is not finite, first row"):
        loss.heldout_losses(model, Tokens(), SimpleNamespace(task=SILENT.task))


@pytest.mark.parametrize("rank", [0, 2])
def test_all_ranks_together_count_every_token_once(made_model, monkeypatch, rank):
    """One of three ranks, the others' sums taken as 0: it does every third batch, and its progress is everybody's."""
    monkeypatch.setattr(loss, "LOGITS_A_BATCH", 1)  # a batch a row: 25 rows, so that rank 2 has none left at the end
    monkeypatch.setattr(dist, "world_size", lambda: 3)
    monkeypatch.setattr(dist, "rank", lambda: rank)
    monkeypatch.setattr(dist, "gather", lambda sums: [sums])
    done = []
    task = SimpleNamespace(advance=done.append)
    watch = SimpleNamespace(task=lambda name, total, unit: nullcontext(task))
    sums = loss.heldout_losses(AutoModelForCausalLM.from_pretrained(made_model), Tokens(), watch)
    assert sum(done) == Tokens.n_tokens.sum()
    order = np.argsort(-Tokens.n_tokens, kind="stable")
    assert np.flatnonzero(sums).tolist() == sorted(order[rank::3].tolist())


def test_a_token_weighs_as_a_token():
    sums, n_trained, groups = np.array([2.0, 9.0, 6.0]), np.array([1, 3, 2]), ["b", "a", "b"]
    result = loss.loss_per_token(sums, n_trained, groups)
    by_group = {"a": 9 / 3, "b": 8 / 3}
    assert result == {
        "loss": pytest.approx(17 / 6),
        "perplexity": pytest.approx(np.exp(17 / 6)),
        "by_group": pytest.approx(by_group),
        "worst_group": "a",
        "balanced_loss": pytest.approx((9 / 3 + 8 / 3) / 2),
    }
    assert loss.loss_per_token(np.array([2.0, 8.0]), np.array([1, 3])) == {
        "loss": 2.5,
        "perplexity": pytest.approx(np.exp(2.5)),
    }


def test_a_perplexity_that_no_number_holds_is_none():
    assert loss.perplexity(0.0) == 1.0
    assert loss.perplexity(709.7) == pytest.approx(np.exp(709.7))
    assert loss.perplexity(709.8) is None
