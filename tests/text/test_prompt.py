"""The Alpaca templates, against Stanford's definition written out again with plain string operations."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diverseevol.config import PromptConfig
from diverseevol.data.sample import Sample, Turn
from diverseevol.errors import PromptError
from diverseevol.text.prompt import AlpacaPrompter, Segment, resolve_template

ALPACA = AlpacaPrompter()
# Stanford's train.py, PROMPT_DICT, as one string each.
STANFORD_INPUT = "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
STANFORD_NO_INPUT = "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Response:"


def user(text: str, input: str = "") -> Turn:
    return Turn("user", text, input)


def answer(text: str, is_trained: bool = True, tool_calls: str = "") -> Turn:
    return Turn("assistant", text, is_trained=is_trained, tool_calls=tool_calls)


def joined(*turns: Turn, tools: str = "") -> str:
    return "".join(segment.text + ("</s>" if segment.ends_turn else "") for segment in ALPACA.segments(Sample(turns, tools)))


@given(instruction=st.text(), input=st.text(), output=st.text())
def test_one_turn_is_stanfords_template_to_the_character(instruction, input, output):
    segments = ALPACA.segments(Sample((user(instruction, input), answer(output))))
    template = STANFORD_INPUT if input else STANFORD_NO_INPUT
    prompt = template.replace("{instruction}", "\0").replace("{input}", input).replace("\0", instruction)
    if "{input}" not in instruction and "\0" not in input:
        assert segments == (Segment(prompt), Segment(output, is_trained=True, ends_turn=True))


def test_dialogue_has_the_preamble_once_and_eos_behind_every_answer():
    turns = (
        user("One", "with input"),
        answer("First"),
        user("Two"),
        answer("Second", is_trained=False),
        user("Three", "3"),
        answer(""),
    )
    assert joined(*turns) == (
        STANFORD_INPUT.format(instruction="One", input="with input")
        + "First</s>\n\n### Instruction:\nTwo\n\n### Response:Second</s>"
        + "\n\n### Instruction:\nThree\n\n### Input:\n3\n\n### Response:</s>"
    )
    segments = ALPACA.segments(Sample(turns))
    assert [segment.text for segment in segments if segment.is_trained] == ["First", ""]
    assert [segment.text for segment in segments if segment.ends_turn] == ["First", "Second", ""]


def test_system_turn_replaces_the_preamble_and_a_later_one_is_a_section():
    text = joined(Turn("system", "Be brief."), user("One"), answer("1"), Turn("system", "Be long."), user("Two"), answer("2"))
    assert text == (
        "Be brief.\n\n### Instruction:\nOne\n\n### Response:1</s>"
        "\n\n### System:\nBe long.\n\n### Instruction:\nTwo\n\n### Response:2</s>"
    )
    assert joined(Turn("system", ""), user("One"), answer("1")) == joined(user("One"), answer("1"))


def test_tools_calls_and_their_answers():
    call = '{"name": "add", "arguments": {"a": 1}}'
    turns = (user("Add"), answer("Let me see.", tool_calls=call), Turn("tool", "2"), answer("It is 2"))
    assert joined(*turns, tools='[{"name": "add"}]') == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        '\n\n### Tools:\n[{"name": "add"}]\n\n### Instruction:\nAdd\n\n### Response:'
        f"Let me see.\n{call}</s>\n\n### Observation:\n2\n\n### Response:It is 2</s>"
    )
    trained = [segment.text for segment in ALPACA.segments(Sample(turns)) if segment.is_trained]
    assert trained == [f"Let me see.\n{call}", "It is 2"]
    assert joined(user("Add"), answer("", tool_calls=call)).endswith(f"### Response:{call}</s>")


def test_a_turn_behind_the_last_answer_is_kept_untrained():
    segments = ALPACA.segments(Sample((user("One"), answer("1"), user("Two"))))
    assert segments[-1] == Segment("\n\n### Instruction:\nTwo")


def test_thinking_apart_has_no_place_in_the_alpaca_template():
    sample = Sample((Turn("user", "q"), Turn("assistant", "a", is_trained=True, thinking="hm")))
    with pytest.raises(PromptError, match="turn 1 keeps its thinking under a key of its own, .* or set prompt.template=chat"):
        AlpacaPrompter().segments(sample)


def test_a_sample_that_trains_nothing_is_refused():
    with pytest.raises(PromptError, match="no assistant turn of the sample is trained on"):
        ALPACA.segments(Sample((user("One"), answer("1", is_trained=False))))


@pytest.mark.parametrize("n_turns", [2, 4])
def test_generation_prompt_is_the_training_text_before_the_last_answer(n_turns):
    turns = (user("One", "x"), answer("1"), user("Two"), answer("2"))[:n_turns]
    sample = Sample(turns, tools="[]")
    assert ALPACA.generation_segments(sample) == ALPACA.segments(sample)[:-1]
    asked = dataclasses.replace(sample, turns=turns[:-1])
    assert ALPACA.generation_segments(asked) == ALPACA.generation_segments(sample)
    assert ALPACA.generation_segments(sample)[-1].text.endswith("### Response:")


@pytest.mark.parametrize(
    ("template", "has_chat", "expected"),
    [
        ("alpaca", True, "alpaca"),
        ("alpaca", False, "alpaca"),
        ("auto", True, "chat"),
        ("auto", False, "alpaca"),
        ("chat", True, "chat"),
    ],
)
def test_template_that_a_name_stands_for(template, has_chat, expected):
    tokenizer = type("Tokenizer", (), {"chat_template": "{{ messages }}" if has_chat else None, "name_or_path": "some/model"})()
    assert resolve_template(PromptConfig(template=template), tokenizer) == expected


def test_chat_without_a_chat_template_says_what_to_do():
    tokenizer = type("Tokenizer", (), {"chat_template": None, "name_or_path": "some/model"})()
    with pytest.raises(PromptError, match=r"tokenizer of 'some/model' has no chat template. Set prompt.template=alpaca"):
        resolve_template(PromptConfig(template="chat"), tokenizer)
