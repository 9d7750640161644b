"""Chosen rows in the form that another tool reads: a file, or a folder with the data and the settings that name it.

Where all rows are of the asked form already, the user's own records go out unchanged; otherwise all are converted, so that a
file has one schema. A folder's settings were written after the documentation of LLaMA-Factory (data/README), axolotl
(dataset-formats/conversation) and TRL (dataset formats; the `datasets` section of its command line).
Memory: the exported rows, which are a chosen subset.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..base.files import replacing, write_text
from ..base.text import nearest
from ..config import yaml_text
from ..errors import ConfigError, PoolError
from . import forms
from .forms import LossError, Record
from .pool import Pool
from .sample import Sample

FILE_FORMATS = ("records", *forms.FORMS, "parquet")
FOLDER_FORMATS = ("llamafactory", "axolotl", "trl")
EXPORT_FORMATS = (*FILE_FORMATS, *FOLDER_FORMATS)
NAME = "diverseevol"
SHAREGPT_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}


def export_rows(pool: Pool, rows: Sequence[int], format: str, out: Path) -> None:
    """Write pool rows in another tool's form; every file takes its place whole, others in a folder are left alone.

    Args:
        pool: The pool.
        rows: Its rows, in the order they are to be written.
        format: records, alpaca, sharegpt, messages, prompt_completion (JSON lines, or an array where `out` ends in .json),
            parquet, or a folder for llamafactory, axolotl or trl.
        out: The file or folder.

    Raises:
        ConfigError: the format is unknown, or `out` does not suit it.
        PoolError: a row would lose something, or does not fit a table; the message names its id.
    """
    check_export(format, out)
    if format in FOLDER_FORMATS:
        {"llamafactory": _llamafactory, "axolotl": _axolotl, "trl": _trl}[format](pool, rows, out)
    elif format == "parquet":
        _write_parquet([pool.record(row) for row in rows], out)
    else:
        lines = [pool.line(row) for row in rows] if format == "records" else _lines(pool, rows, format)
        _write_lines(lines, out)


def check_export(format: str, out: Path) -> None:
    """Check a format's name and that `out` suits it.

    Raises:
        ConfigError: it does not.
    """
    if format not in EXPORT_FORMATS:
        raise ConfigError(
            f"no export format is called {format!r}. {nearest(format, list(EXPORT_FORMATS))}Known: {', '.join(EXPORT_FORMATS)}."
        )
    if format in FOLDER_FORMATS:
        if out.is_file() or out.suffix in (".json", ".jsonl", ".parquet"):
            raise ConfigError(
                f"format {format} writes a folder, but {str(out)!r} is a file's name. Name a folder."
            )
        return
    endings = (".parquet",) if format == "parquet" else (".jsonl", ".json")
    if out.suffix not in endings or out.is_dir():
        raise ConfigError(
            f"format {format} writes a file that ends in {' or '.join(endings)}, not {str(out)!r}. Name such a file."
        )


def _lines(pool: Pool, rows: Sequence[int], form: str) -> list[str]:
    """The records as JSON texts: unchanged where all are of the form, else converted."""
    if all(pool.format(row) == form for row in rows):
        return [pool.line(row) for row in rows]
    return _converted(pool, rows, forms.FORMS[form], form)


def _converted(pool: Pool, rows: Sequence[int], convert: Callable[[Sample], Record], form: str) -> list[str]:
    lines = []
    for row in rows:
        try:
            lines.append(json.dumps(convert(pool.sample(row)), ensure_ascii=False))
        except LossError as error:
            others = ", ".join(name for name in ("messages", "records") if name != form)
            raise PoolError(
                f"sample {pool.id(row)} cannot be written as {form}: {error}. Export as {others}, or leave it out."
            ) from None
    return lines


def _write_lines(lines: Sequence[str], out: Path) -> None:
    if out.suffix == ".json":
        write_text(out, "[\n" + ",\n".join(lines) + "\n]\n")
    else:
        write_text(out, "".join(f"{line}\n" for line in lines))


def _write_parquet(records: Sequence[Record], out: Path) -> None:
    """A table of the records, in plain columns where those hold exactly what the records say.

    Arrow would give every object of a column the keys of all of them, with nulls that are trained on by whoever reads it. Columns
    that need it are of `datasets`' type Json instead, which TRL, axolotl and our own reader decode.
    """
    names = list(dict.fromkeys(key for record in records for key in record))
    columns = {name: [record.get(name) for record in records] for name in names}
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    table = _plain_table(columns, rows) or _json_table(columns, rows)
    if table is None:
        raise PoolError("the records do not fit one table. Export as records or messages to a .jsonl file.")
    with replacing(out) as partial:
        pq.write_table(table, partial)


def _plain_table(columns: dict[str, list[Any]], rows: list[Record]) -> pa.Table | None:
    try:
        table = pa.table(columns)
        pq.write_table(
            table, pa.MockOutputStream()
        )  # objects without keys are found to be none of Parquet's here
    except (pa.ArrowException, OverflowError):
        return None
    return table if table.to_pylist() == rows else None


def _json_table(columns: dict[str, list[Any]], rows: list[Record]) -> pa.Table | None:
    import datasets

    try:
        data = datasets.Dataset.from_dict(columns, on_mixed_types="use_json")
    except (pa.ArrowException, OverflowError):
        return None
    is_same = list(data) == rows
    return (
        data.with_format("arrow")[:].replace_schema_metadata(data.features.arrow_schema.metadata)
        if is_same
        else None
    )


def _fits(pool: Pool, rows: Sequence[int], convert: Callable[[Sample], Record]) -> bool:
    """Whether all rows can be converted."""
    try:
        for row in rows:
            convert(pool.sample(row))
    except LossError:
        return False
    return True


def _llamafactory(pool: Pool, rows: Sequence[int], folder: Path) -> None:
    """The data and a dataset_info.json beside it; for its options dataset_dir and dataset."""
    if _fits(pool, rows, forms.to_alpaca):
        lines = _lines(pool, rows, "alpaca")
        has = {key for line in lines for key, value in json.loads(line).items() if value}
        parts = {
            "prompt": "instruction",
            "query": "input",
            "response": "output",
            "system": "system",
            "history": "history",
        }
        columns = {
            part: column for part, column in parts.items() if column in has or part in ("prompt", "response")
        }
        info: Record = {"file_name": f"{NAME}.json", "formatting": "alpaca", "columns": columns}
    else:
        lines = _converted(pool, rows, _strict_sharegpt, "llamafactory")
        columns = {"messages": "conversations"} | (
            {"tools": "tools"} if any('"tools"' in line for line in lines) else {}
        )
        info = {
            "file_name": f"{NAME}.json",
            "formatting": "sharegpt",
            "columns": columns,
            "tags": SHAREGPT_TAGS,
        }
    _write_lines(lines, folder / f"{NAME}.json")
    write_text(folder / "dataset_info.json", json.dumps({NAME: info}, indent=2) + "\n")


def _strict_sharegpt(sample: Sample) -> Record:
    """ShareGPT as LLaMA-Factory reads it: questions and answers strictly in turn, every answer trained on."""
    record = forms.to_sharegpt(sample)
    turns = [turn for turn in sample.turns if turn.role != "system"]
    answers = [turn.role == "assistant" for turn in turns]
    if answers != [bool(number % 2) for number in range(len(turns))] or not answers[-1]:
        raise LossError("LLaMA-Factory wants questions and answers strictly in turn, the last one answered")
    if any("weight" in turn for turn in record["conversations"]):
        raise LossError("LLaMA-Factory has no switch for an answer that is not trained on")
    return record


def _axolotl(pool: Pool, rows: Sequence[int], folder: Path) -> None:
    """The data and the datasets section of an axolotl configuration."""
    data = folder / f"{NAME}.jsonl"
    entry: Record = {"path": str(data.resolve()), "ds_type": "json"}
    if _fits(pool, rows, _single_alpaca):
        lines, entry = _lines(pool, rows, "alpaca"), {**entry, "type": "alpaca"}
    else:
        lines = _converted(pool, rows, forms.to_trained_messages, "axolotl")
        entry |= {
            "type": "chat_template",
            "field_messages": "messages",
            "message_property_mappings": {"role": "role", "content": "content"},
            "roles_to_train": [],
            "train_on_eos": "turn",
            "message_field_training": "train",
        }
    _write_lines(lines, data)
    _write_yaml(folder / "axolotl.yaml", {"datasets": [entry]}, "Put this into your axolotl configuration.")


def _single_alpaca(sample: Sample) -> Record:
    record = forms.to_alpaca(sample)
    if len(record) > 3:
        raise LossError("axolotl's alpaca type has neither system nor history")
    return record


def _trl(pool: Pool, rows: Sequence[int], folder: Path) -> None:
    """The data and a configuration for `trl sft --config`, in which the loss counts what it counts here."""
    data = folder / f"{NAME}.jsonl"
    settings: Record = {"datasets": [{"path": "json", "data_files": str(data.resolve()), "split": "train"}]}
    if _fits(pool, rows, forms.to_prompt_completion):
        lines, settings["completion_only_loss"] = (
            _converted(pool, rows, forms.to_prompt_completion, "trl"),
            True,
        )
    else:
        lines, settings["assistant_only_loss"] = _converted(pool, rows, _all_trained, "trl"), True
    _write_lines(lines, data)
    hint = "trl sft --config sft.yaml --model_name_or_path MODEL --output_dir OUT"
    _write_yaml(folder / "sft.yaml", settings, hint)


def _all_trained(sample: Sample) -> Record:
    if not all(turn.is_trained for turn in sample.turns if turn.role == "assistant"):
        raise LossError(
            "TRL trains on every answer of a dialogue, and not all of this one's are to be trained on"
        )
    return forms.to_messages(sample)


def _write_yaml(file: Path, values: Record, comment: str) -> None:
    write_text(file, f"# {comment}\n{yaml_text(values)}")
