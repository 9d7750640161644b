import pytest
import torch

from diverseevol.base import dist
from diverseevol.config import PromptConfig
from diverseevol.data.benchmarks import Asked
from diverseevol.data.sample import Sample, Turn
from diverseevol.errors import ModelError, PromptError
from diverseevol.evaluation import answer_local as module
from diverseevol.evaluation.answer_decode import Ended
from diverseevol.evaluation.answer_local import Prompts, asked
from diverseevol.evaluation.questions import Question, read_questions
from diverseevol.models.load import load_tokenizer
from diverseevol.text.tokens import Encoder

WORDS = " ".join(f"word{n}" for n in range(300))


def test_the_prompt_is_the_training_prompt_to_the_token(prompts, questions):
    made = prompts()
    for question in [*questions, Question(1, ("Sum up.",), input="A text.")]:
        trained = Turn("assistant", "An answer.", is_trained=True)
        (encoded,) = made.encoder.encode([Sample((Turn("user", question.turns[0], question.input), trained))])
        prompt = made.make(question)
        assert prompt.ids == encoded.ids[: encoded.spans[0][0]]
        assert not prompt.is_cut
    assert made.make(Question(1, ("One?", "Two?"))).ids == made.make(Question(1, ("One?",))).ids


@pytest.mark.parametrize("context", [160, 257, None])
@pytest.mark.parametrize("max_new", [20, 1024])
def test_an_answer_gets_its_room_but_half_of_the_context_at_most(prompts, context, max_new):
    made = prompts(context, max_new)
    short, long = made.make(Question(1, ("?",))), made.make(Question(1, (WORDS,)))
    assert short.max_new == (max_new if context is None else min(max_new, context - len(short.ids)))
    assert long.is_cut == (context is not None)
    if context is not None:
        room = context - min(max_new, context // 2)
        assert room - 8 < len(long.ids) <= room
        assert long.max_new == min(max_new, context - len(long.ids))


def test_a_long_question_is_cut_from_the_left_and_the_template_stays_whole(prompts):
    made = prompts(256, 128)
    prompt, whole = made.make(Question(1, (WORDS,))), made.encoder.encode_prompt(asked(Question(1, (WORDS,))))
    left = prompt.sample.turns[0].text
    assert WORDS.endswith(" " + left)
    assert prompt.ids == made.encoder.encode_prompt(Sample((Turn("user", left),)))
    assert prompt.ids[:15] == whole[:15] and prompt.ids[-5:] == whole[-5:]
    turn = made.make(Question(1, ("Sum this up in one word, please.",), input=WORDS)).sample.turns[0]
    assert turn.text == "Sum this up in one word, please."
    assert WORDS.endswith(" " + turn.input) and turn.input


@pytest.mark.parametrize("text", ["x" * 3000, "\n" * 3000, "中文" * 900, "a b" + " " * 3000 + "c"])
def test_text_without_words_is_cut_too(prompts, text):
    prompt = prompts(256, 128).make(Question(1, (text,)))
    assert prompt.is_cut and len(prompt.ids) <= 128
    assert text.endswith(prompt.sample.turns[0].text)


def test_a_template_that_fills_the_context_is_an_error(prompts):
    with pytest.raises(PromptError, match=r"the template alone has \d+ tokens, but a prompt may have 16. Lower --max-new-tokens"):
        prompts(32, 1024).make(Question(1, ("Why is that so, and for how long?",)))


def test_koalas_four_longest_and_no_others_are_cut(shared_data):
    tokenizer = load_tokenizer(str(shared_data / "models" / "tinystories-656k"))
    questions = read_questions(Asked("koala", None, None), shared_data / "benchmarks").items
    encoder = Encoder(tokenizer, PromptConfig())
    lengths = [len(Prompts(encoder, tokenizer, None, 1).make(question).ids) for question in questions]
    room = sorted(lengths)[-5]
    made = [Prompts(encoder, tokenizer, room + 1, 1).make(question) for question in questions]
    assert [row for row, prompt in enumerate(made) if prompt.is_cut] == [31, 49, 84, 177]
    for row in (31, 49, 84, 177):
        assert room - 20 < len(made[row].ids) <= room
        assert questions[row].turns[0].endswith(made[row].sample.turns[0].text)


def test_lines_hold_what_was_generated_and_how_it_ended(local, ask, model, tokenizer, questions, prompts):
    """Every end token of the model's own ends an answer, too, and none is part of it."""
    answers = {}
    for question in questions:
        ids = torch.tensor([prompts().make(question).ids])
        options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        answers[question.id] = model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, ids.shape[1] :].tolist()
    another = answers[questions[0].id][4]
    for own in (None, another, [another, tokenizer.eos_token_id]):
        model.generation_config.eos_token_id = own
        stops = {tokenizer.eos_token_id, *([another] if own else [])}
        lines = ask(local(), questions)
        assert sorted(lines) == [question.id for question in questions]
        for question in questions:
            line, new = lines[question.id], answers[question.id]
            new = new[: next((at for at, token in enumerate(new) if token in stops), 12)]
            assert (line["answer"], line["n_tokens"]) == (tokenizer.decode(new, skip_special_tokens=True), len(new))
            assert line["finish"] == ("eos" if len(new) < 12 else "length")
            said = (question.turns[0], question.category, False, "tiny")
            assert (line["question"], line["category"], line["is_cut"], line["model"]) == said


@pytest.mark.parametrize("sampling", ["greedy", "paper"])
def test_batch_size_order_and_ranks_change_no_answer(local, ask, questions, sampling, monkeypatch):
    lines = ask(local(sampling), questions)
    assert ask(local(sampling, n_rows=1), questions) == lines
    assert ask(local(sampling, n_rows=3), questions[::-1]) == lines
    assert (ask(local(sampling, seed=1), questions) == lines) == (sampling == "greedy")
    monkeypatch.setattr(dist, "world_size", lambda: 3)
    found, sizes = {}, []
    for rank in range(3):
        monkeypatch.setattr(dist, "rank", lambda rank=rank: rank)
        found |= (of_rank := ask(local(sampling), questions))
        sizes.append(len(of_rank))
    assert (found, sizes) == (lines, [4, 4, 3])


def test_a_cut_question_is_flagged(local, ask):
    long = Question("long", ("Sum this up.",), input=WORDS)
    lines = ask(local(max_new=300), [long, Question("short", ("Why?",))])
    assert lines["long"]["is_cut"] and not lines["short"]["is_cut"]
    assert lines["long"]["question"] == f"Sum this up.\n{long.input}"


def test_special_tokens_are_left_out(local, ask, tokenizer, monkeypatch, questions):
    ended = Ended(0, [5, tokenizer.bos_token_id or tokenizer.eos_token_id, 6], "eos")
    monkeypatch.setattr(module, "decode", lambda *words: iter([ended]))
    line = ask(local(), questions[:1])[questions[0].id]
    assert (line["answer"], line["n_tokens"]) == (tokenizer.decode([5, 6]), 3)


def test_batches_that_do_not_fit_are_halved_until_they_do(local, ask, questions, monkeypatch):
    expected, sizes, most, real = ask(local(), questions), [], 3, module.decode

    def decode(model, texts, *words):
        sizes.append(len(texts))
        if len(texts) > most:
            yield from list(real(model, texts, *words))[:1]  # one has ended before memory runs out
            raise torch.OutOfMemoryError
        yield from real(model, texts, *words)

    monkeypatch.setattr(module, "decode", decode)
    assert ask(local(n_rows=8), questions) == expected
    assert sizes == [8, 4, 2, 2, 2, 2, 1]
    most = 0
    with pytest.raises(ModelError, match="out of memory answering a single question. Lower --max-new-tokens"):
        ask(local(n_rows=4), questions)


def test_no_more_rows_than_memory_holds(local, monkeypatch):
    made = local()
    row_bytes = 2 * 1 * made.model.config.num_key_value_heads * made.model.config.head_dim * 4 * 100
    for n_rows, expected in ((0, 1), (5, 5), (1000, 64)):
        pages = {"SC_PAGE_SIZE": 4096, "SC_AVPHYS_PAGES": -(-2 * n_rows * row_bytes // 4096)}
        monkeypatch.setattr(module.os, "sysconf", pages.__getitem__)
        assert abs(made._rows_that_fit(100) - expected) <= (expected == 5)
