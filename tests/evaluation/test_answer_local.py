import pytest
import torch

from diverseevol.base import dist
from diverseevol.errors import ModelError
from diverseevol.evaluation import answer_local as local_module
from diverseevol.evaluation.answer_decode import Ended
from diverseevol.evaluation.questions import Question


def test_lines_hold_what_was_generated_and_how_it_ended(local, ask, model, tokenizer, questions, prompts):
    made = local()
    lines = ask(made, questions)
    assert sorted(lines) == [question.id for question in questions]
    for question in questions:
        ids = prompts().make(question).ids
        prompt = torch.tensor([ids])
        new = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        new = new[0, len(ids) :].tolist()
        eos = tokenizer.eos_token_id
        new = new[: new.index(eos)] if eos in new else new
        line = lines[question.id]
        assert line["answer"] == tokenizer.decode(new, skip_special_tokens=True)
        assert line["n_tokens"] == len(new)
        assert line["finish"] == ("eos" if len(new) < 12 else "length")
        assert (line["question"], line["category"], line["is_cut"], line["model"]) == (
            question.turns[0],
            question.category,
            False,
            "tiny",
        )


@pytest.mark.parametrize("sampling", ["greedy", "paper"])
def test_batch_size_and_order_change_no_answer(local, ask, questions, sampling):
    lines = ask(local(sampling), questions)
    assert ask(local(sampling, n_rows=1), questions) == lines
    assert ask(local(sampling, n_rows=3), questions[::-1]) == lines
    if sampling == "paper":
        assert ask(local(sampling, seed=1), questions) != lines


def test_every_end_token_of_the_model_ends_an_answer(local, model, tokenizer):
    made = local()
    assert made._stops() == {tokenizer.eos_token_id}
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, 7]
    assert made._stops() == {tokenizer.eos_token_id, 7}
    model.generation_config.eos_token_id = 9
    assert made._stops() == {tokenizer.eos_token_id, 9}


def test_the_models_end_tokens_are_left_out_of_the_answer(local, ask, model, questions, prompts):
    ids = prompts().make(questions[0]).ids
    prompt = torch.tensor([ids])
    new = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    model.generation_config.eos_token_id = [int(new[0, len(ids) + 4])]
    line = ask(local(), questions)[questions[0].id]
    assert line["finish"] == "eos"
    assert line["n_tokens"] <= 4


def test_a_cut_question_is_flagged(local, ask):
    long = Question("long", ("Sum this up.",), input=" ".join(f"word{n}" for n in range(400)))
    lines = ask(local(max_new=300), [long, Question("short", ("Why?",))])
    assert lines["long"]["is_cut"] and not lines["short"]["is_cut"]
    assert lines["long"]["question"] == f"Sum this up.\n{long.input}"


def test_special_tokens_are_left_out_and_their_text_is_kept(local, ask, tokenizer, monkeypatch, questions):
    ended = Ended(0, [5, tokenizer.bos_token_id or tokenizer.eos_token_id, 6], "eos")
    monkeypatch.setattr(local_module, "decode", lambda *words: iter([ended]))
    line = ask(local(), questions[:1])[questions[0].id]
    assert line["answer"] == tokenizer.decode([5, 6])
    assert line["n_tokens"] == 3


def test_batches_that_do_not_fit_are_halved_until_they_do(local, ask, questions, monkeypatch):
    expected, sizes = ask(local(), questions), []
    real = local_module.decode

    def decode(model, texts, *words):
        sizes.append(len(texts))
        if len(texts) > 3:
            yield from list(real(model, texts, *words))[:1]  # one has ended before memory runs out
            raise torch.OutOfMemoryError
        yield from real(model, texts, *words)

    monkeypatch.setattr(local_module, "decode", decode)
    assert ask(local(n_rows=8), questions) == expected
    assert sizes == [8, 4, 2, 2, 2, 2, 1]


def test_one_question_that_does_not_fit_is_an_error(local, ask, questions, monkeypatch):
    def decode(*words):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(local_module, "decode", decode)
    with pytest.raises(ModelError, match="out of memory answering a single question. Lower --max-new-tokens"):
        ask(local(n_rows=4), questions)


def test_ranks_share_the_questions_and_say_what_one_says(local, ask, questions, monkeypatch):
    expected, found = ask(local("paper"), questions), {}
    monkeypatch.setattr(dist, "world_size", lambda: 3)
    sizes = []
    for rank in range(3):
        monkeypatch.setattr(dist, "rank", lambda rank=rank: rank)
        lines = ask(local("paper"), questions)
        assert not found.keys() & lines.keys()
        found.update(lines)
        sizes.append(len(lines))
    assert found == expected
    assert sizes == [4, 4, 3]


def test_no_more_rows_than_memory_holds(local, monkeypatch):
    made = local()
    row_bytes = 2 * 1 * made.model.config.num_key_value_heads * made.model.config.head_dim * 4 * 100
    pages = {"SC_PAGE_SIZE": 4096, "SC_AVPHYS_PAGES": 0}
    for n_rows, expected in ((0, 1), (5, 5), (1000, 64)):
        pages["SC_AVPHYS_PAGES"] = -(-2 * n_rows * row_bytes // 4096)
        monkeypatch.setattr(local_module.os, "sysconf", pages.__getitem__)
        assert abs(made._rows_that_fit(100) - expected) <= (expected == 5)
