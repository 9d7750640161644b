"""Chosen rows as another tool reads them: a file, or a folder with the data and the settings that name it.

Where all rows are of the asked form already, the user's own records go out unchanged; otherwise all are
converted, so that a file has one schema. A folder's settings were written after the documentation of
LLaMA-Factory (data/README), axolotl (dataset-formats/conversation) and TRL (dataset formats; the `datasets`
section of its command line).
Memory: the exported rows, which are a chosen subset.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

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
ALPACA_COLUMNS = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "system": "system",
    "history": "history",
}
NEEDED = ("prompt", "response")
AXOLOTL = {
    "type": "chat_template",
    "field_messages": "messages",
    "message_property_mappings": {"role": "role", "content": "content"},
    "roles_to_train": [],
    "train_on_eos": "turn",
    "message_field_training": "train",
}


def export_rows(pool: Pool, rows: Sequence[int], format: str, out: Path) -> None:
    """Write pool rows in another tool's form; every file takes its place whole, others are left alone.

    Args:
        pool: The pool.
        rows: Its rows, in the order they are to be written.
        format: records, alpaca, sharegpt, messages, prompt_completion (JSON lines, or an array where `out`
            ends in .json), parquet, or a folder for llamafactory, axolotl or trl.
        out: The file or folder.

    Raises:
        ConfigError: the format is unknown, or `out` does not suit it.
        PoolError: a row would lose something, or does not fit a table; the message names its id.
    """
    _check(format, out)
    if format in FOLDER_FORMATS:
        {"llamafactory": _llamafactory, "axolotl": _axolotl, "trl": _trl}[format](pool, rows, out)
    elif format == "parquet":
        _write_parquet([pool.record(row) for row in rows], out)
    else:
        lines = [pool.line(row) for row in rows] if format == "records" else _lines(pool, rows, format)
        _write_lines(lines, out)


def _check(format: str, out: Path) -> None:
    if format not in EXPORT_FORMATS:
        near, known = nearest(format, EXPORT_FORMATS), ", ".join(EXPORT_FORMATS)
        raise ConfigError(f"no export format is called {format!r}. {near}Known: {known}.")
    if format in FOLDER_FORMATS:
        if out.is_file() or out.suffix in (".json", ".jsonl", ".parquet"):
            found = f"format {format} writes a folder, but {str(out)!r} is a file's name"
            raise ConfigError(f"{found}. Name a folder.")
        return
    endings = (".parquet",) if format == "parquet" else (".jsonl", ".json")
    if out.suffix not in endings or out.is_dir():
        wanted = f"format {format} writes a file that ends in {' or '.join(endings)}"
        raise ConfigError(f"{wanted}, not {str(out)!r}. Name such a file.")


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
            lost = f"sample {pool.id(row)} cannot be written as {form}: {error}"
            raise PoolError(f"{lost}. Export as {others}, or leave it out.") from None
    return lines


def _write_lines(lines: Sequence[str], out: Path) -> None:
    if out.suffix == ".json":
        write_text(out, "[\n" + ",\n".join(lines) + "\n]\n")
    else:
        write_text(out, "".join(f"{line}\n" for line in lines))


def _write_parquet(records: Sequence[Record], out: Path) -> None:
    """A table of the records, in plain columns where those hold exactly what the records say.

    Arrow would give every object of a column the keys of all of them, with nulls that are trained on by
    whoever reads it. Such columns are of `datasets`' type Json instead, which TRL, axolotl and our own reader
    decode.
    """
    import datasets

    names = list(dict.fromkeys(key for record in records for key in record))
    rows = [{name: record.get(name) for name in names} for record in records]
    columns = {name: [row[name] for row in rows] for name in names}
    try:
        data = datasets.Dataset.from_dict(columns, on_mixed_types="use_json")
        is_same = list(data) == rows
    except (pa.ArrowException, OverflowError):
        is_same = False
    if not is_same:
        raise PoolError("the records do not fit one table. Export as records or messages to a .jsonl file.")
    with replacing(out) as partial:
        data.to_parquet(str(partial))


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
    info: Record = {"file_name": f"{NAME}.json"}
    if _fits(pool, rows, forms.to_alpaca):
        lines = _lines(pool, rows, "alpaca")
        has = {key for line in lines for key, value in json.loads(line).items() if value}
        columns = {part: column for part, column in ALPACA_COLUMNS.items() if part in NEEDED or column in has}
        info |= {"formatting": "alpaca", "columns": columns}
    else:
        lines = _converted(pool, rows, forms.to_strict_sharegpt, "llamafactory")
        columns = {"messages": "conversations"}
        columns |= {"tools": "tools"} if any('"tools"' in line for line in lines) else {}
        info |= {"formatting": "sharegpt", "columns": columns, "tags": SHAREGPT_TAGS}
    _write_lines(lines, folder / f"{NAME}.json")
    write_text(folder / "dataset_info.json", json.dumps({NAME: info}, indent=2) + "\n")


def _axolotl(pool: Pool, rows: Sequence[int], folder: Path) -> None:
    """The data and the datasets section of an axolotl configuration."""
    data = folder / f"{NAME}.jsonl"
    entry: Record = {"path": str(data.resolve()), "ds_type": "json"}
    if _fits(pool, rows, forms.to_plain_alpaca):
        lines, entry = _lines(pool, rows, "alpaca"), {**entry, "type": "alpaca"}
    else:
        lines, entry = _converted(pool, rows, forms.to_trained_messages, "axolotl"), {**entry, **AXOLOTL}
    _write_lines(lines, data)
    _write_yaml(folder / "axolotl.yaml", {"datasets": [entry]}, "Put this into your axolotl configuration.")


def _trl(pool: Pool, rows: Sequence[int], folder: Path) -> None:
    """The data and a configuration for `trl sft --config`, in which the loss counts what it counts here."""
    data = folder / f"{NAME}.jsonl"
    is_single = _fits(pool, rows, forms.to_prompt_completion)
    convert = forms.to_prompt_completion if is_single else forms.to_all_trained
    loss = "completion_only_loss" if is_single else "assistant_only_loss"
    _write_lines(_converted(pool, rows, convert, "trl"), data)
    source = {"path": "json", "data_files": str(data.resolve()), "split": "train"}
    hint = "trl sft --config sft.yaml --model_name_or_path MODEL --output_dir OUT"
    _write_yaml(folder / "sft.yaml", {"datasets": [source], loss: True}, hint)


def _write_yaml(file: Path, values: Record, comment: str) -> None:
    write_text(file, f"# {comment}\n{yaml_text(values)}")
