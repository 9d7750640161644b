"""What a record means: who answers which call, what is trained on, what is a rejected answer, what is in no prompt."""

import json

import pytest
from outside import QUICK, make_model, must, read_jsonl, run_cli, write_jsonl

WITH_IDS = (
    "{% if tools %}[TOOLS]{{ tools | tojson }}[/TOOLS]{% endif %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{% if m.role == 'tool' %}{{ (m.tool_call_id or '') ~ '/' ~ (m.name or '') ~ ': ' }}{% endif %}{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}[CALL {{ c.id }} {{ c.function.name }}]{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GOOD = {"instruction": "Say hello.", "output": "Hello."}
U, A = {"role": "user", "content": "Both?"}, {"role": "assistant", "content": "Done."}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model whose template writes tools, ids, names and thinking."""
    return make_model(tmp_path_factory.mktemp("models") / "ids", template=WITH_IDS, added=("<think>", "</think>"))


@pytest.fixture
def shown(model, tmp_path):
    """Gives what `--show-samples` says of rows beside a good one."""

    def show(*rows, words=()):
        pool = write_jsonl(tmp_path / "shown.jsonl", [*rows, GOOD])
        options = ("--pool", pool, "--model", model, "--out", tmp_path / "shown", "--rounds", 0, "--n-init", 1)
        return run_cli("run", *options, "prompt.template=chat", "pool.max_bad=0.9", "--show-samples", 9, *words)

    return show


def calls(*names, ids=True):
    made = [{"type": "function", "function": {"name": name, "arguments": {}}} for name in names]
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{**c, "id": f"kept{n:05d}"} if ids else c for n, c in enumerate(made)],
    }


def result(text, number=None, name=None):
    own = {"tool_call_id": None if number is None else f"kept{number:05d}", "name": name}
    return {"role": "tool", "content": text, **{key: value for key, value in own.items() if value is not None}}


def masked(text):
    """The text of a sample without the marks of what is trained on."""
    return text.replace("⟦", "").replace("⟧", "")


@pytest.mark.parametrize(
    ("turns", "order"),
    [
        (
            [calls("price", "stock"), result("80", 1, "stock"), result("2", 0, "price")],
            ["kept00000/price: 2", "kept00001/stock: 80"],
        ),
        ([calls("price", "stock"), result("80", None, "stock"), result("2")], ["kept00000/price: 2", "kept00001/stock: 80"]),
        ([calls("price", "stock", ids=False), result("2"), result("80")], ["call00000/price: 2", "call00001/stock: 80"]),
        ([calls("price", "stock"), result("2", 0), A, result("80", 1)], ["kept00000/price: 2", "kept00001/stock: 80"]),
        ([calls("price"), result("2", 0), A, U, calls("stock"), result("80", 0)], ["kept00000/price: 2", "kept00000/stock: 80"]),
    ],
    ids=["other order", "by name", "by place", "an earlier turn's call", "ids used again"],
)
def test_a_tools_result_goes_to_the_call_that_it_answers(shown, turns, order):
    text = masked(must(shown({"messages": [U, *turns, A]})).out)
    assert [text.count(part) for part in order] == [1, 1]
    assert text.index(order[0]) < text.index(order[1])


@pytest.mark.parametrize(
    ("of_call", "of_result"),
    [
        ({"id": 0}, {"tool_call_id": 0}),
        ({"call_id": 0}, {"call_id": 0}),
        ({"id": 0}, {"id": 0}),
        ({"id": 0}, {"toolCallId": 0}),
        ({}, {"tool": 0}),
    ],
    ids=["whole numbers", "call_id", "the message's own id", "camel case", "the tool's name"],
)
def test_a_tools_result_finds_its_call_under_the_keys_of_other_tools(shown, of_call, of_result):
    made = [{"function": {"name": f"t{n}", "arguments": {}}, **dict.fromkeys(of_call, n)} for n in (0, 1)]
    results = [
        {"role": "tool", "content": f"R{n}", **{key: f"t{n}" if key == "tool" else n for key in of_result}} for n in (1, 0)
    ]
    text = masked(must(shown({"messages": [U, {"role": "assistant", "tool_calls": made}, *results, A]})).out)
    assert text.index("/t0: R0") < text.index("/t1: R1") and ("0/t0" in text and "1/t1" in text)


MESSAGES = {
    "two results": [U, calls("price", "stock"), result("80", 1, "stock"), result("2", 0, "price"), A],
    "one result": [U, calls("price"), result("2", 0, "price"), A],
}


@pytest.mark.parametrize("form", ["records", "messages", "sharegpt", "prompt_completion", "llamafactory", "axolotl", "trl"])
def test_exports_keep_the_ids_or_refuse(model, tmp_path, form, shown):
    is_folder = form in ("llamafactory", "axolotl", "trl")
    # Not all of them in one of the forms, so that all are converted; where one answer alone may be trained on, it is.
    silent = {**calls("price"), "weight": 0}
    kinds = [[U, silent, result("2", 0, "price"), A]] if form == "prompt_completion" else MESSAGES.values()
    rows = [{"messages": list(turns)} for turns in kinds if not (form == "llamafactory" and len(turns) > 4)]
    pool = write_jsonl(tmp_path / "pool.jsonl", [*rows, GOOD])
    options = ("--pool", pool, "--model", model, "--out", tmp_path / "run", "--rounds", 0, "--n-init", len(rows) + 1)
    must(run_cli("run", *options, *QUICK, "prompt.template=chat"))
    out = tmp_path / ("out" if is_folder else "out.jsonl")
    must(run_cli("export", tmp_path / "run", "--format", form, "--out", out))
    file = next(out.glob("diverseevol.json*")) if is_folder else out
    records = json.loads(file.read_text()) if file.suffix == ".json" else read_jsonl(file)
    words = ("pool.columns={messages: conversations}", "pool.format=sharegpt") if form in ("sharegpt", "llamafactory") else ()
    before, after = must(shown(*rows)).out, must(shown(*records[: len(rows)], words=words)).out
    contents = [[line for line in text.split("\n") if "kept0" in line] for text in (before, after)]
    assert contents[0] == contents[1] != []
    assert any("kept00000/price: 2" in line for line in contents[0])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train", False),
        ("training", 0),
        ("weight", 0.0),
        ("loss", "false"),
        ("loss_weight", "0"),
        ("loss_scale", 0),
        ("masked", True),
    ],
)
def test_an_answer_that_is_switched_off_is_read_and_not_trained_on(shown, key, value):
    parts = [{"type": "text", "text": "A lie, ", key: value}, {"type": "text", "text": "and another.", key: value}]
    for turn in ({"role": "assistant", "content": "A lie, and another.", key: value}, {"role": "assistant", "content": parts}):
        text = must(shown({"messages": [U, turn, U, A]})).out
        assert "A lie, and another." in text and "⟦A lie" not in text and "⟦Done.<|im_end|>" in text
    call = {**calls("lie"), "tool_calls": [{**call, key: value} for call in calls("lie")["tool_calls"]]}
    text = must(shown({"messages": [U, call, result("4"), A]})).out
    assert "lie]" in text and "⟦[CALL" not in text and "⟦Done.<|im_end|>" in text


REFUSED = {
    "a part": (
        {"content": [{"type": "text", "text": "x", "train": False}, {"type": "text", "text": "y"}]},
        "a part that 'train'",
    ),
    "some characters": ({"train_detail": [{"begin_offset": 0, "end_offset": 2, "train": False}]}, "train_detail"),
    "a fraction": ({"loss_scale": 0.3}, "loss_scale 0.3; only 0 and 1"),
    "either way": ({"mask": True}, "mask, which cannot be followed"),
    "a contradiction": ({"train": True, "weight": 0}, "switched on by 'train' and off by 'weight'"),
    "two thoughts": ({"reasoning": "Yes.", "thinking": "No."}, "thinks differently under reasoning and thinking"),
    "thinking later": (
        {"content": [{"type": "text", "text": "x"}, {"type": "thinking", "thinking": "y"}]},
        "thinks behind what it says",
    ),
    "an unread call": ({"function_calls": "f(x=1)"}, "calls tools under 'function_calls'"),
    "a picture": ({"images": ["x.png"]}, "has images; only text"),
    "unread arguments": ({"tool_calls": [{"name": "f", "args": {"x": 1}}]}, "calls a tool with 'args'"),
    "two calls": ({**calls("f"), "function_call": {"name": "g", "arguments": "{}"}}, "another, under function_call"),
    "a call as words": ({"function_call": "f(x=1)"}, "function_call of turn 1 is not JSON"),
    "a call switched off": (
        {"tool_calls": [{"function": {"name": "f", "arguments": {}}, "weight": 0}]},
        "a part that 'weight' switches off",
    ),
    "a rejected turn": ({"label": False}, "label False: a rejected answer"),
    "several answers": ({"content": ["x", "y"]}, "turn 1 holds several answers"),
    "thinking twice": ({"content": "Hm.\n</think>\nx", "reasoning": "Hm."}, "has its thinking twice"),
}


def test_what_cannot_be_followed_puts_the_row_aside_with_the_reason(shown):
    rows = [{"messages": [U, {**A, **more}]} for more, _ in REFUSED.values()]
    rows += [{"messages": [U, calls("f", "g"), result("x", 7), A]}]
    rows += [{"messages": [U, A], "train": False}, {"messages": [U, A], "images": ["x.png"]}]
    rows += [{"messages": [U, A, U, A], "loss_mask": [0, 0, 0, 1]}]
    reasons = [reason for _, reason in REFUSED.values()]
    reasons += [
        "answers the call 'kept00007', and no call before it has that id",
        "train False switches the row off",
        "it has images",
        "loss_mask [0, 0, 0, 1] switches parts of the row off",
    ]
    for start in range(0, len(rows), 4):
        text = must(shown(*rows[start : start + 4])).out
        assert [reason for reason in reasons[start : start + 4] if reason not in text] == []


CHOSEN, REJECTED = "The chosen one.", "The rejected one."
PREFERENCES = {
    "texts": {"prompt": "Which?", "chosen": CHOSEN, "rejected": REJECTED},
    "other names": {"question": "Which?", "chosen_response": CHOSEN, "rejected_response": REJECTED},
    "messages": {"prompt": [U], "chosen": [{**A, "content": CHOSEN}], "rejected": [{**A, "content": REJECTED}]},
    "dialogues": {"chosen": [U, {**A, "content": CHOSEN}], "rejected": [U, {**A, "content": REJECTED}]},
    "sharegpt": {
        "conversations": [{"from": "human", "value": "Which?"}],
        "chosen": {"from": "gpt", "value": CHOSEN},
        "rejected": {"from": "gpt", "value": REJECTED},
    },
}


@pytest.mark.parametrize("name", PREFERENCES)
def test_preference_data_is_said_to_be_that_and_its_mapping_trains_on_the_chosen_answer(model, tmp_path, name):
    pool = write_jsonl(tmp_path / "pool.jsonl", [PREFERENCES[name]] * 3)
    options = ("--pool", pool, "--model", model, "--out", tmp_path / "run", "--rounds", 0, "--n-init", 1, "prompt.template=chat")
    ended = run_cli("run", *options, "--show-samples", 3)
    assert ended.code == 1 and "preference data" in ended.err
    mapping = ended.err[ended.err.index("pool.columns=") :].partition("}")[0] + "}"
    text = must(run_cli("run", *options, "--show-samples", 3, mapping)).out
    assert text.count(f"⟦{CHOSEN}<|im_end|>") == 3 and REJECTED not in text


def test_a_rejected_answer_is_never_trained_on_in_silence(shown):
    rows = [
        {"prompt": "Which?", "completion": REJECTED, "label": False},
        {"messages": [U, {**A, "content": REJECTED}], "label": False},
        {"instruction": "Which?", "output": REJECTED, "kto_tag": False},
        {"messages": [U, {**A, "content": REJECTED}], "chosen": [U, A], "rejected": [U, {**A, "content": REJECTED}]},
        {"instruction": "Which?", "output": [CHOSEN, REJECTED]},
        {"prompt": "Which?", "responses": [CHOSEN, REJECTED], "ratings": [5, 1]},
    ]
    text = must(shown(*rows, {"prompt": "Which?", "completion": CHOSEN, "label": True})).out
    assert REJECTED not in text and f"⟦{CHOSEN}<|im_end|>" in text
    for words in (
        "label False: a rejected answer",
        "kto_tag False: a rejected answer",
        "the one under 'rejected'",
        "several answers",
    ):
        assert words in text


def test_columns_in_no_prompt_and_undeclared_tools_are_named_with_their_rows(shown):
    row = {"question": "Which?", "choices": ["stone", "pear"], "answer": "B", "id": 3}
    asked = {**U, "name": "Ann", "train_detail": [{"begin_offset": 0, "end_offset": 2, "train": True}], "masked": True}
    rows = [row, {**row, "choices": []}, {"messages": [asked, calls("price"), result("2"), A]}]
    text = must(shown(*rows)).out
    assert "in no prompt: choices (1 row), messages[].name (1 row), id (2 rows), messages[].train_detail (1 row)\n" in text
    assert "tools called that no row with them declares: price (1 row)" in text


@pytest.mark.parametrize("place", ["a column", "the system's turn"])
def test_tools_are_read_where_openai_and_others_write_them(shown, place):
    offered = [{"name": "price", "description": "Look it up.", "parameters": {"type": "object", "properties": {}}}]
    turns = [U, {**A, "content": None, "function_call": {"name": "price", "arguments": "{}"}}, result("2"), A]
    row = {"messages": turns, "functions": offered}
    if place != "a column":
        row = {"messages": [{"role": "system", "content": "Be brief.", "tools": offered}, *turns]}
    text = must(shown(row)).out
    assert "Look it up." in text and "declares" not in text


THOUGHTS = {
    "reasoning_content": {"reasoning_content": "Hm."},
    "reasoning": {"reasoning": "Hm."},
    "thinking": {"thinking": "Hm."},
    "twice the same": {"reasoning": "Hm.", "reasoning_content": "Hm."},
    "a block": {"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Done."}]},
    "another block": {"content": [{"type": "reasoning", "value": "Hm."}, {"type": "text", "value": "Done."}]},
}


@pytest.mark.parametrize("name", THOUGHTS)
def test_thinking_is_trained_on_as_the_template_writes_it_however_it_is_kept(shown, name):
    text = must(shown({"messages": [U, {**A, **THOUGHTS[name]}]})).out
    assert "⟦<think>Hm.</think>Done.<|im_end|>⟧" in text


def test_thinking_tells_rows_apart_and_is_searched_for_benchmarks(tmp_path):
    rows = [{"messages": [U, {**A, "reasoning": f"{thought} " * 30}]} for thought in ("one way", "another way", "one way")]
    question = "How many bridges cross the river in the old town of Oslo today?"
    rows.append(
        {"messages": [U, {**A, "content": [{"type": "thinking", "thinking": question}, {"type": "text", "text": "Nine."}]}]}
    )
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    benchmark = write_jsonl(tmp_path / "bench.jsonl", [{"question": question}])
    must(run_cli("check", "--pool", pool, "--benchmark", f"b={benchmark}", "--out", tmp_path / "overlap"))
    found = read_jsonl(tmp_path / "overlap/duplicates.jsonl")
    assert [(one["kind"], one["source_row"], one["kept_source_row"]) for one in found] == [("exact", 2, 0)]
    assert [match["source_row"] for match in read_jsonl(tmp_path / "overlap/contamination.jsonl")] == [3]


def test_the_alpaca_prompt_refuses_thinking_that_it_has_no_place_for(shown):
    text = must(shown({"messages": [U, {**A, "reasoning": "Hm."}]}, words=["prompt.template=alpaca"])).out
    assert "turn 1 keeps its thinking under a key of its own" in text and "prompt.template=chat" in text and "Hm." not in text


def test_the_orders_of_turns_that_llama_factory_takes_are_taken(shown):
    call = {"from": "function_call", "value": '{"name": "price", "arguments": {}}'}
    human, gpt, seen = (
        {"from": "human", "value": "Price?"},
        {"from": "gpt", "value": "Two."},
        {"from": "observation", "value": "2"},
    )
    told = {"from": "gpt", "value": '<tool_call>{"name": "price"}</tool_call>'}
    dialogues = (
        [human, told, seen, gpt],
        [human, call, human, gpt],
        [human, call, seen, call, seen, gpt],
        [human, call, call, seen, seen, gpt],
    )
    text = must(shown(*({"conversations": turns} for turns in dialogues))).out
    assert "left out" not in text and text.count("⟦Two.<|im_end|>⟧") == len(dialogues)
