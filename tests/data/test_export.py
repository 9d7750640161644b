"""Exports are read back by the package itself (and by datasets and TRL's rules), and must say the same as before."""

import json

import pyarrow.parquet as pq
import pytest
import yaml

from diverseevol.data import Pool
from diverseevol.data.export import EXPORT_FORMATS, export_rows, said
from diverseevol.errors import ConfigError, PoolError

CALL = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
PLAIN = [
    {"instruction": "q", "input": "i", "output": "a", "skill": "x"},
    {"instruction": "r", "input": "", "output": "b", "skill": "y"},
]
CHAT = [
    {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": "r"},
            {"role": "assistant", "content": "b"},
        ]
    }
]
TOOLS = [
    {
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "1"},
            {"role": "assistant", "content": "a"},
        ],
        "tools": [{"type": "function", "function": {"name": "add"}}],
    }
]
THOUGHT = [{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning": "hm"}]}]
HALF = [
    {
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "a", "weight": 0},
            {"role": "user", "content": "r"},
            {"role": "assistant", "content": "b"},
        ]
    }
]


def pool_of(tmp_path, records, name="pool.jsonl"):
    file = tmp_path / name
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return Pool.read(file)


def meaning(sample, has_calls=True):
    """What a sample says, with the input joined to its turn as every export has to, and calls as values."""
    calls = [[call.get("function", call)["name"] for call in _list(turn.tool_calls)] for turn in sample.turns]
    return [
        (turn.role, said(turn), turn.thinking, turn.is_trained, names) for turn, names in zip(sample.turns, calls, strict=True)
    ], bool(sample.tools)


def _list(text):
    value = json.loads(text or "[]")
    return value if isinstance(value, list) else [value]


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
        assert [meaning(back.sample(row)) for row in range(len(back))] == [meaning(pool.sample(row)) for row in range(len(pool))]


@pytest.mark.parametrize(
    ("records", "form", "why"),
    [
        (TOOLS, "alpaca", "it uses tools"),
        (HALF, "alpaca", "one of its answers is not trained on"),
        ([{"messages": CHAT[0]["messages"][:4]}], "alpaca", "its last turn is not answered"),
        (CHAT, "prompt_completion", "an answer before the last is trained on too"),
        (HALF, "llamafactory", "LLaMA-Factory has no switch"),
        ([{"messages": CHAT[0]["messages"][:4]}], "llamafactory", "strictly in turn, the last one answered"),
        (
            [{"messages": [{"role": "user", "content": "q"}, {**TOOLS[0]["messages"][1], "content": "so"}]}],
            "sharegpt",
            "speaks and calls",
        ),
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
    from diverseevol.config import PoolConfig

    form = {"alpaca": "alpaca", "sharegpt": "sharegpt"}[info["formatting"]]
    config = PoolConfig(path=str(folder / info["file_name"]), format=form, columns=info["columns"], tags=info.get("tags", {}))
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
    assert [meaning(back.sample(row)) for row in range(len(back))] == [meaning(pool.sample(row)) for row in range(len(pool))]
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
    assert [meaning(back.sample(row)) for row in range(len(back))] == [meaning(pool.sample(row)) for row in range(len(pool))]
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
    assert [meaning(back.sample(row)) for row in range(len(back))] == [meaning(pool.sample(row)) for row in range(len(pool))]


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


def test_every_format_of_the_real_dolly_pool(tmp_path, shared_data):
    pool = Pool.read(shared_data / "pools" / "dolly_15k.jsonl")
    rows = range(0, 15_000, 500)
    for form in EXPORT_FORMATS:
        out = tmp_path / {"parquet": "out.parquet"}.get(form, "out.jsonl" if form in EXPORT_FORMATS[:5] else form)
        export_rows(pool, rows, form, out)
        files = (
            [out]
            if out.is_file()
            else [file for file in out.iterdir() if file.suffix in (".json", ".jsonl") and "info" not in file.name]
        )
        assert [len(Pool.read(file)) for file in files] == [30], form
