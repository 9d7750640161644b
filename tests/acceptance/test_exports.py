"""Every export out, read by the tool that it is for where that can be installed, by its written rules where not."""

import json

import pytest
from outside import must, pool_rows, read_jsonl, refused, run_cli, write_jsonl


@pytest.fixture(scope="module")
def export(finished_run, tmp_path_factory):
    def write(kind, name=None, *words):
        out = tmp_path_factory.mktemp("export") / (name or f"{kind}.jsonl")
        must(run_cli("export", finished_run, "--format", kind, "--out", out, *words))
        return out

    return write


@pytest.fixture(scope="module")
def rows(finished_run):
    picks = [pick for index in range(3) for pick in read_jsonl(finished_run / f"rounds/{index:02d}/chosen.jsonl")]
    return [pool_rows(120)[row] for row in sorted(pick["source_row"] for pick in picks)]


def asked(row):
    return row["instruction"] + (f"\n{row['input']}" if row["input"] else "")


def test_records_and_parquet_are_the_users_own_rows(export, rows):
    from datasets import load_dataset

    assert [{name: row[name] for name in rows[0]} for row in read_jsonl(export("records"))] == rows
    table = load_dataset("parquet", data_files=str(export("parquet", "x.parquet")), split="train").to_list()
    assert [{name: row[name] for name in rows[0]} for row in table] == rows
    first = read_jsonl(export("records", None, "--round", "0"))
    assert len(first) == 8 and all(row in table for row in first)


def test_layouts_say_the_same_in_their_own_words(export, rows):
    for row, out in zip(rows, read_jsonl(export("alpaca")), strict=True):
        assert (out["instruction"], out.get("input", ""), out["output"]) == (row["instruction"], row["input"], row["output"])
    for row, out in zip(rows, read_jsonl(export("messages")), strict=True):
        assert [(turn["role"], turn["content"]) for turn in out["messages"]] == [
            ("user", asked(row)),
            ("assistant", row["output"]),
        ]
    for row, out in zip(rows, read_jsonl(export("sharegpt")), strict=True):
        assert [(turn["from"], turn["value"]) for turn in out["conversations"]] == [
            ("human", asked(row)),
            ("gpt", row["output"]),
        ]


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing. is deprecated:FutureWarning")
def test_trl_trains_on_its_export(export, model, rows, tmp_path):
    from datasets import load_dataset
    from trl import SFTConfig, SFTTrainer

    folder = export("trl", "trl")
    data = load_dataset("json", data_files=str(next(folder.glob("*.jsonl"))), split="train")
    assert len(data) == len(rows) and folder.name in (folder / "sft.yaml").read_text()
    config = SFTConfig(str(tmp_path), max_steps=1, report_to="none", bf16=False, per_device_train_batch_size=2, use_cpu=True)
    trainer = SFTTrainer(str(model), config, train_dataset=data)
    assert trainer.train().training_loss > 0


def test_llamafactory_and_axolotl_find_their_columns(export, rows):
    """data/README.md of LLaMA-Factory: dataset_info.json names the file and its columns; axolotl: `datasets` with path and type."""
    import yaml

    folder = export("llamafactory", "factory")
    ((_, entry),) = json.loads((folder / "dataset_info.json").read_text()).items()
    written = json.loads((folder / entry["file_name"]).read_text())
    columns = entry["columns"]
    assert [row[columns["prompt"]] for row in written] == [row["instruction"] for row in rows]
    assert [row[columns["response"]] for row in written] == [row["output"] for row in rows]
    folder = export("axolotl", "axolotl")
    (entry,) = yaml.safe_load((folder / "axolotl.yaml").read_text())["datasets"]
    assert entry["type"] == "alpaca" or entry["type"] == "chat_template"
    assert len(read_jsonl(folder / next(folder.glob("*.jsonl")).name)) == len(rows)


def test_an_export_that_would_lose_something_is_refused(tool_model, tmp_path):
    """The Alpaca layout has no place for a tool's answer."""
    call = {"id": "call00001", "type": "function", "function": {"name": "look", "arguments": {"at": "sky"}}}
    turns = [
        {"role": "user", "content": "Look at the sky."},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call00001", "name": "look", "content": "blue"},
        {"role": "assistant", "content": "It is blue."},
    ]
    tool = {"type": "function", "function": {"name": "look", "description": "", "parameters": {"type": "object"}}}
    record = {"messages": turns, "tools": [tool]}
    trainer = "train.command=test -f {data} && cp -r {base}/. {out}"
    words = ("--pool", write_jsonl(tmp_path / "p.jsonl", [record]), "--model", tool_model, "--out", tmp_path / "run")
    must(
        run_cli(
            "run",
            *words,
            "--rounds",
            0,
            "--n-init",
            1,
            trainer,
            "train.command_format=messages",
            "prompt.max_length=1024",
            "prompt.template=chat",
        )
    )
    refused(run_cli("export", tmp_path / "run", "--format", "alpaca", "--out", tmp_path / "a.jsonl"), "alpaca")
    assert not (tmp_path / "a.jsonl").exists()
    must(run_cli("export", tmp_path / "run", "--format", "messages", "--out", tmp_path / "m.jsonl"))
    (written,) = read_jsonl(tmp_path / "m.jsonl")
    assert written["messages"][2]["tool_call_id"] == "call00001" and written["tools"] == [tool]
