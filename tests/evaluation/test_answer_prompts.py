import pytest

from diverseevol.config import PromptConfig
from diverseevol.data.benchmarks import Asked
from diverseevol.data.sample import Sample, Turn
from diverseevol.errors import PromptError
from diverseevol.evaluation.answer_prompts import Prompts, asked
from diverseevol.evaluation.questions import Question, read_questions
from diverseevol.models.load import load_tokenizer
from diverseevol.text.tokens import Encoder


def test_the_prompt_is_the_training_prompt_to_the_token(prompts, questions):
    made = prompts()
    for question in [*questions, Question(1, ("Sum up.",), input="A text.")]:
        trained = Turn("assistant", "An answer.", is_trained=True)
        sample = Sample((Turn("user", question.turns[0], question.input), trained))
        (encoded,) = made.encoder.encode([sample])
        prompt = made.make(question)
        assert prompt.ids == encoded.ids[: encoded.spans[0][0]]
        assert not prompt.is_cut
    assert made.make(Question(1, ("One?", "Two?"))).ids == made.make(Question(1, ("One?",))).ids


@pytest.mark.parametrize(
    ("context", "max_new", "room"), [(512, 1024, 256), (512, 100, 412), (2048, 1024, 1024), (513, 1024, 257), (None, 1024, None)]
)
def test_the_answer_gets_its_room_but_half_of_the_context_at_most(prompts, context, max_new, room):
    made = prompts(context, max_new)
    assert made.room == room
    short = made.make(Question(1, ("Why?",)))
    assert short.max_new == (max_new if context is None else min(max_new, context - len(short.ids)))


def test_a_long_question_is_cut_from_the_left_and_the_template_stays_whole(prompts):
    made = prompts(256, 128)
    text = " ".join(f"word{n}" for n in range(300))
    prompt, whole = made.make(Question(1, (text,))), made.encoder.encode_prompt(asked(Question(1, (text,))))
    assert prompt.is_cut
    assert 100 < len(prompt.ids) <= made.room == 128
    assert prompt.max_new == 128
    left = prompt.sample.turns[0].text
    assert text.endswith(" " + left)
    assert prompt.ids == made.encoder.encode_prompt(Sample((Turn("user", left),)))
    preamble = made.encoder.encode_prompt(Sample((Turn("user", ""),)))
    n_same = next(n for n, (a, b) in enumerate(zip(prompt.ids, preamble, strict=False)) if a != b)
    assert n_same > 15 and prompt.ids[:n_same] == whole[:n_same] and prompt.ids[-5:] == whole[-5:]


def test_only_the_input_is_cut_where_there_is_one(prompts):
    made = prompts(300, 128)
    text = " ".join(f"word{n}" for n in range(300))
    turn = made.make(Question(1, ("Sum this up in one word, please.",), input=text)).sample.turns[0]
    assert turn.text == "Sum this up in one word, please."
    assert text.endswith(" " + turn.input) and turn.input


@pytest.mark.parametrize("text", ["x" * 3000, "ab" * 2000, "\n" * 3000, "中文" * 900, "a b" + " " * 3000 + "c"])
def test_text_without_words_is_cut_too(prompts, text):
    made = prompts(256, 128)
    prompt = made.make(Question(1, (text,)))
    assert prompt.is_cut
    assert len(prompt.ids) <= made.room
    assert text.endswith(prompt.sample.turns[0].text)


def test_a_template_that_fills_the_context_is_an_error(prompts):
    with pytest.raises(PromptError, match=r"the template alone has \d+ tokens, but a prompt may have 16. Lower --max-new-tokens"):
        prompts(32, 1024).make(Question(1, ("Why is that so, and for how long?",)))


def test_koalas_four_longest_and_no_others_are_cut(shared_data):
    tokenizer = load_tokenizer(str(shared_data / "models" / "tinystories-656k"))
    questions = read_questions(Asked("koala", None, None), shared_data / "benchmarks").items
    encoder = Encoder(tokenizer, PromptConfig())
    unlimited = Prompts(encoder, tokenizer, None, 1)
    lengths = [len(unlimited.make(question).ids) for question in questions]
    longest = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    assert sorted(longest[:4]) == [31, 49, 84, 177]
    limited = Prompts(encoder, tokenizer, lengths[longest[4]] + 1, 1)
    made = [limited.make(question) for question in questions]
    assert [row for row, prompt in enumerate(made) if prompt.is_cut] == [31, 49, 84, 177]
    for row in (31, 49, 84, 177):
        assert limited.room - 20 < len(made[row].ids) <= limited.room
        assert questions[row].turns[0].endswith(made[row].sample.turns[0].text)
    assert max(lengths[row] for row in range(180) if not made[row].is_cut) == limited.room
