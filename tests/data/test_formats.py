"""Records of every format against the turns they must become, and every reason for which a record is refused."""

import json

import pytest

from diverseevol.config import SourceConfig
from diverseevol.data.formats import Reader
from diverseevol.data.layouts import PAIRS, STANDARD
from diverseevol.data.sample import RowError, Sample, Turn
from diverseevol.errors import ConfigError

CALL = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
USER, ANSWER = Turn("user", "q"), Turn("assistant", "a", is_trained=True)


def read(record, **source):
    return Reader.of(SourceConfig(path="x", **source)).read(record)


def turns(record, **source):
    return read(record, **source)[1].turns


def reason(record, **source):
    with pytest.raises(RowError) as caught:
        read(record, **source)
    return str(caught.value)


def chat(*pairs, **message):
    return {"messages": [{"role": role, "content": text} for role, text in pairs], **message}


FORMATS = {
    "question/answer": ({"question": "q", "context": "c", "answer": "a"}, (Turn("user", "q", "c"), ANSWER)),
    "alpaca with all": (
        {"instruction": "q", "input": "i", "output": "a", "system": "s", "history": [["q", "a"]]},
        (Turn("system", "s"), USER, ANSWER, Turn("user", "q", "i"), ANSWER),
    ),
    "alpaca": ({"instruction": "q", "input": "", "output": "a"}, (USER, ANSWER)),
    "dolly": ({"instruction": "q", "context": "c", "response": "a", "category": "x"}, (Turn("user", "q", "c"), ANSWER)),
    "sharegpt": ({"id": "1", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, (USER, ANSWER)),
    "messages": (chat(("user", "q"), ("assistant", "a")), (USER, ANSWER)),
    "prompt_completion": ({"prompt": "q", "completion": "a"}, (USER, ANSWER)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_found_by_themselves_and_by_name(name):
    record, expected = FORMATS[name]
    assert read(record) == (name.removesuffix(" with all"), Sample(expected))
    if name in STANDARD:
        assert read(record, format=name) == (name, Sample(expected))


@pytest.mark.parametrize("pair", PAIRS)
def test_known_pairs(pair):
    assert turns(dict(zip(pair, ("q", "a"), strict=True))) == (USER, ANSWER)


@pytest.mark.parametrize("nothing", [None, "", []])
def test_null_parts_are_none(nothing):
    record = {"instruction": "q", "input": None, "output": "a", "system": None, "history": nothing, "tools": nothing}
    assert read(record) == ("alpaca", Sample((USER, ANSWER)))


def test_history_and_messages_as_text_of_a_csv():
    assert turns({"instruction": "q", "output": "a", "history": '[["q", "a"]]'}) == (USER, ANSWER, USER, ANSWER)
    assert turns({"messages": json.dumps(FORMATS["messages"][0]["messages"])}) == (USER, ANSWER)


def test_prompt_and_completion_as_messages_train_on_the_completion_alone():
    record = {
        "prompt": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "q"}],
        "completion": [{"role": "assistant", "content": "a"}],
    }
    assert turns(record) == (USER, Turn("assistant", "a"), USER, ANSWER)
    assert turns({**record, "completion": "a"}) == turns(record)
    assert turns({**record, "prompt": "q"}) == (USER, ANSWER)
    assert reason({**record, "prompt": 3}) == "wrong type: 'prompt' is a number; expected text or messages"
    assert "'prompt' holds messages, so 'context' has no place" in reason({**record, "context": "c"})


def test_tools_in_sharegpt():
    call = '{"name": "add", "arguments": {}}'
    names = [("system", "s"), ("human", "q"), ("function_call", call), ("observation", "1"), ("bing", "a")]
    record = {"conversations": [{"from": name, "value": text} for name, text in names], "tools": "[]"}
    assert read(record)[1] == Sample(
        (Turn("system", "s"), USER, Turn("assistant", "", is_trained=True, tool_calls=call), Turn("tool", "1"), ANSWER)
    )
    record["conversations"][2]["value"] = "add()"
    assert reason(record) == "the call in turn 2 is not JSON"


def test_a_system_column_beside_a_system_turn():
    record = {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "s"}
    expected = (Turn("system", "s"), USER, ANSWER)
    assert turns(record) == expected
    record["conversations"].insert(0, {"from": "system", "value": "s"})
    assert turns(record) == expected
    assert reason({**record, "system": "t"}) == "two system prompts: the column 'system' and the first turn"


def test_columns_and_tags():
    record = {"frage": "q", "antwort": "a", "input": "not mine"}
    assert read(record, columns={"prompt": "frage", "response": "antwort"}) == ("alpaca (columns)", Sample((USER, ANSWER)))
    record = {"chat": [{"who": "Q", "says": "q"}, {"who": "A", "says": "a"}], "rules": "s"}
    tags = {"role_tag": "who", "content_tag": "says", "user_tag": "Q", "assistant_tag": "A"}
    assert turns(record, columns={"messages": "chat", "system": "rules"}, tags=tags) == (Turn("system", "s"), USER, ANSWER)
    swapped = {"conversations": [{"from": "gpt", "value": "q"}, {"from": "human", "value": "a"}]}
    assert turns(swapped, tags={"user_tag": "gpt", "assistant_tag": "human"}) == (USER, ANSWER)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"format": "alpacca"}, "pool.format is 'alpacca', which is unknown. Did you mean 'alpaca'"),
        ({"columns": {"promt": "x"}}, "pool.columns maps 'promt', which is unknown. Did you mean 'prompt'"),
        ({"tags": {"user": "x"}}, "pool.tags sets 'user', which is unknown. Did you mean 'user_tag'"),
        ({"columns": {"prompt": "x", "response": "x"}}, "maps both prompt and response to the column 'x'"),
        ({"columns": {"prompt": "output"}}, "maps both response and prompt|maps both prompt and response"),
        ({"columns": {"messages": "x", "prompt": "y"}}, "names prompt, which format 'sharegpt' does not have"),
        ({"format": "alpaca", "columns": {"messages": "x"}}, "names messages, which format 'alpaca' does not have"),
        ({"format": "alpaca", "tags": {"user_tag": "x"}}, "pool.tags describes dialogues, but the rows are read as 'alpaca'"),
        ({"tags": {"user_tag": "x", "assistant_tag": "x"}}, "gives two roles the name 'x'"),
    ],
)
def test_a_mapping_that_cannot_be(source, message):
    with pytest.raises(ConfigError, match=message):
        Reader.of(SourceConfig(path="x", **source))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ([1], "not an object but a list"),
        ("words", "not an object but text"),
        (None, "not an object but null"),
        ({"instruction": 3, "output": "a"}, "wrong type: 'instruction' is a number, not text"),
        ({"instruction": "q", "output": True}, "wrong type: 'output' is true or false, not text"),
        ({"instruction": "q", "input": ["i"], "output": "a"}, "wrong type: 'input' is a list, not text"),
        ({"instruction": "q", "input": {}, "output": "a"}, "wrong type: 'input' is an object, not text"),
        ({"instruction": "q", "output": None}, "no response"),
        ({"instruction": "q", "output": ""}, "no response"),
        ({"instruction": "q", "output": " \n\t\u3000"}, "no response"),
        ({"instruction": " ", "output": "a"}, "empty 'instruction'"),
        ({"instruction": "", "input": "i", "output": "a"}, "empty 'instruction', only 'input' is filled"),
        ({"instruction": "q\0", "output": "a"}, "a NUL character in the user's turn"),
        ({"instruction": "q", "input": "\0", "output": "a"}, "a NUL character in the user's turn"),
        ({"instruction": "q", "output": "a", "history": "x"}, "wrong type: 'history' is not a list"),
        ({"instruction": "q", "output": "a", "history": [["x"]]}, "history is not a list of [user, assistant] pairs of text"),
        ({"instruction": "q", "output": "a", "tools": "add()"}, "tools is not JSON"),
        ({"messages": "x"}, "wrong type: 'messages' is not a list"),
        ({"messages": []}, "no turns"),
        ({"messages": ["x"]}, "turn 0 is not an object"),
        (chat(("usr", "q")), "turn 0 has the role 'usr', which is unknown"),
        ({"messages": [{"role": ["user"], "content": "q"}]}, "turn 0 has the role ['user'], which is unknown"),
        ({"messages": [{"role": "user", "content": 3}]}, "wrong type: the content of turn 0 is not text"),
        ({"messages": [{"role": "user"}]}, "wrong type: turn 0 has no text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            "turn 0 holds a block of type 'image'; only text can be used",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "wrong type: a text block of turn 0 has no text"),
        (chat(("user", "q"), ("assistant", None)), "wrong type: turn 1 has no text"),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning_content": ["hm"]}]},
            "wrong type: turn 1 must keep its thinking as one text; found reasoning_content",
        ),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": "add("}]},
            "tool_calls of turn 1 is not JSON",
        ),
    ],
)
def test_why_a_record_is_refused(record, expected):
    assert expected in reason(record)


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ("ua", ""),
        ("sua", ""),
        ("uaua", ""),
        ("uau", ""),
        ("ucta", ""),
        ("ucttaua", ""),
        ("uc", ""),
        ("u", "no response: the assistant never speaks"),
        ("su", "no response: the assistant never speaks"),
        ("a", "role order: the assistant speaks before the user; take that turn out, or put a user's before it"),
        ("sau", "role order: the assistant speaks before the user; take that turn out, or put a user's before it"),
        ("tua", "role order: the tool speaks before the user; take that turn out, or put a user's before it"),
        ("usa", "role order: turn 1 is a system turn, but not the first"),
        ("ssua", "role order: turn 1 is a system turn, but not the first"),
        ("uua", "role order: turn 1 is the user's behind the user's"),
        ("uaa", "role order: turn 2 is the assistant's behind the assistant's"),
        ("uta", "role order: turn 1 is the tool's behind the user's"),
        ("uata", ""),
        ("ucua", ""),
        ("uca", "role order: turn 2 is the assistant's behind a call of tools"),
        ("uctua", "role order: turn 3 is the user's behind the tool's"),
    ],
)
def test_the_order_of_the_roles(roles, expected):
    made = {
        "s": {"role": "system", "content": "s"},
        "u": {"role": "user", "content": "q"},
        "a": {"role": "assistant", "content": "a"},
        "c": {"role": "assistant", "content": "", "tool_calls": [CALL]},
        "t": {"role": "tool", "content": ""},
    }
    record = {"messages": [made[role] for role in roles]}
    if expected:
        assert reason(record) == expected
    else:
        assert [turn.role[0] for turn in turns(record)] == [role.replace("c", "a") for role in roles]


def test_an_empty_turn_inside_is_named():
    assert reason(chat(("user", "q"), ("assistant", " "), ("user", "q"), ("assistant", "a"))) == "empty: turn 1, the assistant's"
    assert reason(chat(("user", "q"), ("assistant", "a"), ("user", " \n"), ("assistant", "a"))) == "empty: turn 2, the user's"
