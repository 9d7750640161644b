"""Exports are read back by the package itself (and by datasets and TRL's rules), and must say the same as before."""

import json

import pyarrow.parquet as pq
import pytest
import yaml

from diverseevol.config import PoolConfig
from diverseevol.data import Pool
from diverseevol.data.export import export_rows, said
from diverseevol.data.sample import as_list
from diverseevol.errors import ConfigError, PoolError

CALL = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
PLAIN = [
    {"instruction": "q", "input": "i", "output": "a", "skill": "x"},
    {"instruction": "r", "input": "", "output": "b", "skill": "y"},
]


def chat(*turns, **more):
    """A record of turns, each its role and its text, perhaps with keys of its own."""
    return {"messages": [{"role": role, "content": text, **dict(*own)} for role, text, *own in turns], **more}


Q, R, A, B = ("user", "q"), ("user", "r"), ("assistant", "a"), ("assistant", "b")
CHAT = [chat(("system", "s"), Q, A, R, B)]
CALLS = ("assistant", "", {"tool_calls": [CALL]})
TOOLS = [chat(Q, CALLS, ("tool", "1"), A, tools=[{"type": "function", "function": {"name": "add"}}])]
THOUGHT = [chat(Q, ("assistant", "a", {"reasoning": "hm"}))]
HALF = [chat(Q, ("assistant", "a", {"weight": 0}), R, B)]


def meaning(sample):
    """What a sample says, with the input joined to its turn as every export has to, and calls as values."""
    turns = []
    for turn in sample.turns:
        calls = [call.get("function", call)["name"] for call in as_list(json.loads(turn.tool_calls or "[]"))]
        turns.append((turn.role, said(turn), turn.thinking, turn.is_trained, calls))
    return turns, bool(sample.tools)


def meanings(pool):
    return [meaning(pool.sample(row)) for row in range(len(pool))]


def pool_of(tmp_path, records, name="pool.jsonl"):
    file = tmp_path / name
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return Pool.read(file)


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize(
    ("records", "formats"),
    [
        (PLAIN, ("alpaca", "sharegpt", "messages", "prompt_completion")),
        (CHAT, ("alpaca", "sharegpt", "messages")),
        (TOOLS, ("sharegpt", "messages")),
        (HALF, ("sharegpt", "messages", "prompt_completion")),
        (PLAIN + THOUGHT, ("messages", "prompt_completion")),
        (PLAIN + CHAT, ("alpaca", "sharegpt", "messages")),
        (PLAIN + HALF, ("sharegpt", "messages", "prompt_completion")),
    ],
)
def test_what_is_exported_says_the_same(tmp_path, records, formats, suffix):
    pool = pool_of(tmp_path, records)
    for form in formats:
        out = tmp_path / f"{form}{suffix}"
        export_rows(pool, range(len(pool)), form, out)
        back = Pool.read(out)
        assert len(back) == len(pool)
        assert {back.format(row) for row in range(len(back))} == {form}
        assert meanings(back) == meanings(pool)


@pytest.mark.parametrize(
    ("records", "form", "why"),
    [
        (TOOLS, "alpaca", "it uses tools"),
        (HALF, "alpaca", "one of its answers is not trained on"),
        ([chat(Q, A, R)], "alpaca", "its last turn is not answered"),
        (CHAT, "prompt_completion", "an answer before the last is trained on too"),
        (HALF, "llamafactory", "LLaMA-Factory has no switch"),
        ([chat(Q, A, R)], "llamafactory", "strictly in turn, the last one answered"),
        ([chat(Q, ("assistant", "so", {"tool_calls": [CALL]}))], "sharegpt", "speaks and calls"),
        (HALF + CHAT, "trl", "TRL trains on every answer"),
        *((THOUGHT, form, "keeps its thinking apart") for form in ("alpaca", "sharegpt", "llamafactory", "axolotl")),
    ],
)
def test_what_would_be_lost_is_an_error_with_the_id(tmp_path, records, form, why):
    pool = pool_of(tmp_path, records)
    out = tmp_path / ("out" if form in ("llamafactory", "trl", "axolotl") else "out.jsonl")
    with pytest.raises(PoolError, match=rf"sample {pool.id(0)} cannot be written as {form}: .*{why}.*Export as"):
        export_rows(pool, [0] if len(pool) == 1 else [0, 1], form, out)
    assert not out.exists() or not list(out.iterdir())


def test_records_of_the_asked_form_go_out_unchanged(tmp_path):
    pool = pool_of(tmp_path, PLAIN)
    for form in ("alpaca", "records"):
        export_rows(pool, [1, 0], form, tmp_path / "out.jsonl")
        assert (tmp_path / "out.jsonl").read_text() == "".join(json.dumps(record) + "\n" for record in PLAIN[::-1])
    export_rows(pool, [1], "parquet", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [PLAIN[1]]


def test_parquet_has_the_columns_of_all_records(tmp_path):
    pool = pool_of(tmp_path, PLAIN + CHAT)
    export_rows(pool, [2, 0], "parquet", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [
        {"messages": CHAT[0]["messages"], "instruction": None, "input": None, "output": None, "skill": None},
        {"messages": None, **PLAIN[0]},
    ]
    mixed = pool_of(tmp_path, [{**PLAIN[0], "skill": {"a": 1}}, {**PLAIN[1], "skill": "[1]"}], "mixed.jsonl")
    with pytest.raises(PoolError, match=r"do not fit one table"):
        export_rows(mixed, [0, 1], "parquet", tmp_path / "mixed.parquet")
    assert not (tmp_path / "mixed.parquet").exists()


def read_like_llamafactory(folder):
    """As LLaMA-Factory does: by dataset_info.json's words, which are our own."""
    ((name, info),) = json.loads((folder / "dataset_info.json").read_text()).items()
    config = PoolConfig(
        path=str(folder / info["file_name"]), format=info["formatting"], columns=info["columns"], tags=info.get("tags", {})
    )
    return name, info, Pool.read(config)


@pytest.mark.parametrize("records", [PLAIN, CHAT, TOOLS, PLAIN + CHAT, PLAIN + TOOLS])
def test_a_folder_for_llamafactory(tmp_path, records):
    pool = pool_of(tmp_path, records)
    (tmp_path / "lf").mkdir()
    (tmp_path / "lf" / "mine.json").write_text("kept")
    export_rows(pool, range(len(pool)), "llamafactory", tmp_path / "lf")
    name, info, back = read_like_llamafactory(tmp_path / "lf")
    assert name == "diverseevol"
    assert info["formatting"] == ("sharegpt" if TOOLS[0] in records else "alpaca")
    assert meanings(back) == meanings(pool)
    assert (tmp_path / "lf" / "mine.json").read_text() == "kept"


@pytest.mark.parametrize(
    ("records", "kind"), [(PLAIN, "alpaca"), (CHAT, "chat_template"), (TOOLS, "chat_template"), (HALF, "chat_template")]
)
def test_a_folder_for_axolotl(tmp_path, records, kind):
    pool = pool_of(tmp_path, records)
    export_rows(pool, range(len(pool)), "axolotl", tmp_path / "ax")
    (entry,) = yaml.safe_load((tmp_path / "ax" / "axolotl.yaml").read_text())["datasets"]
    assert entry["type"] == kind
    back = Pool.read(entry["path"])
    assert meanings(back) == meanings(pool)
    if kind == "chat_template":
        assert entry["roles_to_train"] == []
        messages = back.record(0)[entry["field_messages"]]
        assert [message[entry["message_field_training"]] for message in messages] == [
            turn.is_trained for turn in pool.sample(0).turns
        ]


@pytest.mark.parametrize(
    ("records", "loss"),
    [
        (PLAIN, "completion_only_loss"),
        (HALF, "completion_only_loss"),
        (CHAT, "assistant_only_loss"),
        (TOOLS, "assistant_only_loss"),
    ],
)
def test_a_folder_for_trl(tmp_path, records, loss):
    pool = pool_of(tmp_path, records)
    export_rows(pool, range(len(pool)), "trl", tmp_path / "trl")
    settings = yaml.safe_load((tmp_path / "trl" / "sft.yaml").read_text())
    assert settings[loss] is True
    (data,) = settings["datasets"]
    back = Pool.read(data["data_files"])
    assert meanings(back) == meanings(pool)


@pytest.mark.parametrize(
    ("form", "out", "message"),
    [
        ("alpacca", "x.json", "no export format is called 'alpacca'. Did you mean 'alpaca'"),
        ("alpaca", "x", "ends in .jsonl or .json"),
        ("parquet", "x.json", "ends in .parquet"),
        ("trl", "x.jsonl", "writes a folder"),
    ],
)
def test_an_export_that_cannot_be(tmp_path, form, out, message):
    with pytest.raises(ConfigError, match=message):
        export_rows(pool_of(tmp_path, PLAIN), [0], form, tmp_path / out)
