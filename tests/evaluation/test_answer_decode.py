"""The oracle is the library's own generate, one prompt at a time and without padding."""

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from diverseevol.errors import NonFiniteError
from diverseevol.evaluation.answer_choose import SAMPLINGS, Chooser, uniforms
from diverseevol.evaluation.answer_decode import decode

N = 14


@pytest.fixture
def texts(prompts, questions):
    return [prompts().make(question).ids for question in questions]


def run(model, texts, sampling="greedy", size=None, max_new=None, stops=()):
    """(ids, finish) of every prompt, answered in batches of `size`."""
    found = []
    for start in range(0, len(texts), size or len(texts)):
        batch = texts[start : start + (size or len(texts))]
        numbers = np.stack([uniforms(0, start + at, N) for at in range(len(batch))])
        limits = (max_new or [N] * len(texts))[start : start + len(batch)]
        ended = decode(model, batch, limits, stops, Chooser(model, SAMPLINGS[sampling], batch, numbers), lambda n: None)
        found += [(one.ids, one.finish) for one in sorted(ended, key=lambda one: one.row)]
    return found


def alone(model, text, n=N, **options):
    ids = torch.tensor([text])
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, **options}
    return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, **options)[0, len(text) :].tolist()


@pytest.mark.parametrize("size", [1, 4, None])
def test_greedy_answers_are_those_of_one_prompt_at_a_time(model, texts, size):
    found = run(model, texts, size=size)
    assert [ids for ids, _ in found] == [alone(model, text) for text in texts]
    assert {finish for _, finish in found} == {"length"}
    assert len({tuple(ids) for ids, _ in found}) > 3


@pytest.mark.parametrize("size", [1, 3])
def test_learned_positions_begin_behind_the_padding(size):
    """With rotary positions a shift changes nothing; with GPT-2's it does."""
    torch.manual_seed(0)
    sizes = dict(vocab_size=90, n_positions=64, n_embd=32, n_layer=1, n_head=2, initializer_range=0.6)
    gpt = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=2)).eval()
    made = [torch.randint(3, 90, (n,)).tolist() for n in (4, 23, 11, 30, 7)]
    found = run(gpt, made, size=size)
    assert [ids for ids, _ in found] == [alone(gpt, text) for text in made]
    assert len({tuple(ids) for ids, _ in found}) == 5


@pytest.mark.parametrize("size", [1, 3, None])
def test_an_answer_ends_at_any_of_the_stop_tokens(model, texts, size):
    answers = [alone(model, text) for text in texts]
    stops = {answers[0][3], answers[4][6]}
    found = run(model, texts, size=size, stops=stops)
    for (ids, finish), text in zip(found, texts, strict=True):
        expected = alone(model, text, eos_token_id=sorted(stops))
        is_ended = expected[-1] in stops
        assert finish == ("eos" if is_ended else "length")
        assert ids == (expected[:-1] if is_ended else expected)
    assert {finish for _, finish in found} == {"eos", "length"} or size is None


def test_each_row_has_a_limit_of_its_own(model, texts):
    limits = [1 + (5 * row) % N for row in range(len(texts))]
    assert [ids for ids, _ in run(model, texts, max_new=limits)] == [
        alone(model, text, n) for text, n in zip(texts, limits, strict=True)
    ]


def test_a_row_that_ended_is_not_computed_any_more(model, texts):
    n_rows = []
    hook = model.register_forward_pre_hook(lambda module, args, kwargs: n_rows.append(len(kwargs["input_ids"])), with_kwargs=True)
    limits = [1 + row for row in range(len(texts))]
    run(model, texts, max_new=limits)
    hook.remove()
    assert n_rows == list(range(len(texts), 0, -1))


@pytest.mark.parametrize("sampling", ["paper", "model"])
def test_a_sampled_answer_does_not_depend_on_its_batch(model, texts, sampling):
    model.generation_config.do_sample = True
    model.generation_config.top_p = 0.9

    def sampled(order):
        numbers = np.stack([uniforms(3, row, N) for row in order])
        batch = [texts[row] for row in order]
        ended = decode(model, batch, [N] * len(batch), (), Chooser(model, SAMPLINGS[sampling], batch, numbers), lambda n: None)
        return {order[one.row]: one.ids for one in ended}

    together = sampled(list(range(len(texts))))
    assert sampled([8, 2, 5]) == {row: together[row] for row in (8, 2, 5)}
    assert sampled([5]) == {5: together[5]}
    assert together != {row: alone(model, text) for row, text in enumerate(texts)}


@pytest.mark.parametrize("size", [1, None])
def test_the_models_own_settings_are_the_librarys(model, texts, size):
    model.generation_config.repetition_penalty = 1.8
    model.generation_config.no_repeat_ngram_size = 2
    expected = [alone(model, text, repetition_penalty=1.8, no_repeat_ngram_size=2) for text in texts]
    assert [ids for ids, _ in run(model, texts, "model", size)] == expected
    assert [ids for ids, _ in run(model, texts, "greedy", size)] != expected


def test_the_models_own_settings_do_not_leak_into_the_papers(model, texts):
    before = run(model, texts, "paper")
    model.generation_config.temperature, model.generation_config.top_p, model.generation_config.do_sample = 0.1, 0.5, True
    assert run(model, texts, "paper") == before


def test_a_model_that_computes_nan_is_an_error(model, texts):
    with torch.no_grad():
        model.get_input_embeddings().weight[texts[2][-1]] = float("nan")
    with pytest.raises(NonFiniteError, match="scores for the next token are NaN"):
        run(model, texts)
