"""The oracle is the library's own generate, one prompt at a time and without padding."""

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.cache_utils import DynamicLayer

from diverseevol.errors import NonFiniteError
from diverseevol.evaluation.answer_decode import ROOM, SAMPLINGS, Chooser, RoomyLayer, decode, drawn, uniforms

N = 14


@pytest.fixture
def texts(prompts, questions):
    return [prompts().make(question).ids for question in questions]


def run(model, texts, sampling="greedy", size=None, max_new=None, stops=(), order=None):
    """(ids, finish) of the prompts of `order`, answered in batches of `size`, each with its own random numbers."""
    order, found = order or range(len(texts)), []
    for start in range(0, len(order), size or len(order)):
        rows = list(order[start : start + (size or len(order))])
        batch, numbers = [texts[row] for row in rows], np.stack([uniforms(0, row, N) for row in rows])
        limits, chooser = [max_new[row] if max_new else N for row in rows], Chooser(model, SAMPLINGS[sampling], batch, numbers)
        ended = decode(model, batch, limits, stops, chooser, lambda n: None)
        found += [(one.ids, one.finish) for one in sorted(ended, key=lambda one: one.row)]
    return found


def alone(model, text, n=N, **options):
    ids = torch.tensor([text])
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, **options}
    return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, **options)[0, len(text) :].tolist()


@pytest.mark.parametrize("size", [1, 4, None])
def test_greedy_answers_are_those_of_one_prompt_at_a_time_and_end_at_any_stop_token(model, texts, size):
    answers = [alone(model, text) for text in texts]
    assert run(model, texts, size=size) == [(ids, "length") for ids in answers]
    assert len({tuple(ids) for ids in answers}) > 3
    stops, expected = {answers[0][3], answers[4][6]}, []
    for ids in answers:
        n = next((at for at, token in enumerate(ids) if token in stops), None)
        expected.append((ids, "length") if n is None else (ids[:n], "eos"))
    assert run(model, texts, size=size, stops=stops) == expected


def test_learned_positions_begin_behind_the_padding():
    """With rotary positions a shift changes nothing; with GPT-2's it does."""
    torch.manual_seed(0)
    sizes = dict(vocab_size=90, n_positions=64, n_embd=32, n_layer=1, n_head=2, initializer_range=0.6)
    gpt = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=2)).eval()
    made = [torch.randint(3, 90, (n,)).tolist() for n in (4, 23, 11, 30, 7)]
    found = [ids for ids, _ in run(gpt, made, size=3)]
    assert found == [alone(gpt, text) for text in made]
    assert len(set(map(tuple, found))) == 5


def test_each_row_has_a_limit_of_its_own_and_is_not_computed_any_more_when_it_has_ended(model, texts):
    n_rows, limits = [], [1 + (5 * row) % 11 for row in range(len(texts))]
    hook = model.register_forward_pre_hook(lambda module, args, kwargs: n_rows.append(len(kwargs["input_ids"])), with_kwargs=True)
    found = run(model, texts, max_new=limits)
    hook.remove()
    assert n_rows == list(range(len(texts), 0, -1))
    assert [ids for ids, _ in found] == [alone(model, text, n) for text, n in zip(texts, limits, strict=True)]


@pytest.mark.parametrize("sampling", ["paper", "model"])
def test_a_sampled_answer_does_not_depend_on_its_batch(model, texts, sampling):
    model.generation_config.do_sample, model.generation_config.top_p = True, 0.9
    together = run(model, texts, sampling)
    assert run(model, texts, sampling, order=[8, 2, 5]) == [together[row] for row in (8, 2, 5)]
    assert run(model, texts, sampling, order=[5]) == [together[5]]
    assert together != run(model, texts)


def test_the_models_own_settings_are_the_librarys_and_do_not_leak_into_others(model, texts):
    paper, settings = run(model, texts, "paper"), {"repetition_penalty": 1.8, "no_repeat_ngram_size": 2}
    expected = [alone(model, text, **settings) for text in texts]
    for name, value in settings.items():
        setattr(model.generation_config, name, value)
    for size in (1, None):
        assert [ids for ids, _ in run(model, texts, "model", size)] == expected
        assert [ids for ids, _ in run(model, texts, "greedy", size)] != expected
    model.generation_config.temperature, model.generation_config.top_p, model.generation_config.do_sample = 0.1, 0.5, True
    assert run(model, texts, "paper") == paper


def test_a_model_that_computes_nan_is_an_error(model, texts):
    with torch.no_grad():
        model.get_input_embeddings().weight[texts[2][-1]] = float("nan")
    with pytest.raises(NonFiniteError, match="scores for the next token are NaN"):
        run(model, texts)


def by_definition(row, temperature, top_k, uniform):
    """Sort, keep the best, sum up in the order of ids."""
    kept = sorted(sorted(range(len(row)), key=lambda i: -row[i])[: top_k or len(row)])
    weights = np.exp(row[kept].astype(np.float64) / temperature)
    return kept[int(np.searchsorted(np.cumsum(weights) / weights.sum(), uniform, side="right"))]


@pytest.mark.parametrize("top_k", [1, 2, 7, 79, 80, 200, None])
def test_drawing_equals_the_definition(top_k):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores, wanted, temperature = rng.normal(size=(6, 80)).astype(np.float32) * 3, rng.random(6), (0.7, 1.0, 3.0)[seed % 3]
        tokens = drawn(torch.from_numpy(scores), temperature, top_k, torch.from_numpy(wanted))
        assert tokens.tolist() == [by_definition(row, temperature, top_k, u) for row, u in zip(scores, wanted, strict=True)]


def test_tokens_come_as_often_as_they_should():
    row, uniform = torch.tensor([[1.0, 3.0, 2.0, 2.5, -1.0]]), np.random.default_rng(1).random(40_000)
    uniform[:2] = 0, np.nextafter(1.0, 0.0)
    tokens = drawn(row.expand(len(uniform), -1), 0.7, 3, torch.from_numpy(uniform)).numpy()
    assert tokens[:2].tolist() == [1, 3]  # the ends of the range: the first and the last candidate
    shares, weights = np.bincount(tokens, minlength=5) / len(uniform), np.exp(np.array([3.0, 2.0, 2.5]) / 0.7)
    assert shares[[1, 2, 3]] == pytest.approx(weights / weights.sum(), abs=0.01)
    assert shares[0] == shares[4] == 0


def test_a_question_has_its_own_numbers():
    first = uniforms(0, 7, 5)
    assert (uniforms(0, 7, 3) == first[:3]).all()
    assert len({tuple(values) for values in [first, uniforms(0, "7", 5), uniforms(1, 7, 5), uniforms(0, 8, 5)]}) == 4
    assert first.min() >= 0 and first.max() < 1


def test_a_cache_with_room_holds_what_the_librarys_holds_and_is_rarely_moved():
    def states(n_rows, n_tokens, seed):
        generator = torch.Generator().manual_seed(seed)
        return tuple(torch.randn(n_rows, 2, n_tokens, 4, generator=generator) for _ in range(2))

    plain, other, rows, places = DynamicLayer(), DynamicLayer(), 5, set()
    plain.update(*states(5, 7, seed=0))
    other.update(*states(5, 7, seed=0))
    ours = RoomyLayer(other)
    for step in range(2 * ROOM + 3):
        if step in (1, ROOM - 1, ROOM + 1):
            kept = torch.tensor([row for row in range(rows) if row != 1])
            rows -= 1
            for layer in (plain, ours):
                layer.batch_select_indices(kept)
        expected, found = (layer.update(*states(rows, 1, seed=1 + step)) for layer in (plain, ours))
        assert all(torch.equal(*pair) for pair in zip(expected, found, strict=True))
        assert plain.get_seq_length() == ours.get_seq_length() == 8 + step
        assert plain.get_mask_sizes(1) == ours.get_mask_sizes(1)
        places.add(ours.keys.data_ptr())
    assert len(places) < 10
