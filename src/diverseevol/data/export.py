"""Chosen rows as another tool reads them: a file, or a folder with the data and the settings that name it.

What a form cannot hold is refused, never dropped. Where all rows are of the asked form already, the user's
own records go out unchanged; otherwise all are converted, so that a file has one schema. A user turn's
separate input follows its text on a new line where a form has no place for it, as in LLaMA-Factory. A turn
that is not trained on gets `weight: 0` (OpenAI's name for it) in dialogues, and is refused by forms without
such a switch. A folder's settings were written after the documentation of LLaMA-Factory (data/README),
axolotl (dataset-formats/conversation) and TRL (dataset formats; the `datasets` section of its command line).
Memory: the exported rows, which are a chosen subset.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..base.files import replacing, write_text
from ..base.text import nearest
from ..config import yaml_text
from ..errors import ConfigError, PoolError
from .layouts import COLUMNS, STANDARD
from .pool import Pool
from .sample import Sample, Turn, as_list

Record = dict[str, Any]
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
SHAREGPT_NAMES = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
AXOLOTL = {
    "type": "chat_template",
    "field_messages": "messages",
    "message_property_mappings": {"role": "role", "content": "content"},
    "roles_to_train": [],
    "train_on_eos": "turn",
    "message_field_training": "train",
}


class LossError(Exception):
    """What of a sample a form cannot hold; caught where its id is known."""


def to_alpaca(sample: Sample) -> Record:
    """{instruction, input, output} and, where the sample has them, system and history."""
    turns = list(sample.turns)
    system = turns.pop(0).text if turns[0].role == "system" else ""
    uses_tools = bool(sample.tools) or any(turn.tool_calls or turn.role == "tool" for turn in turns)
    _refuse(uses_tools, "it uses tools")
    _refuse(turns[-1].role != "assistant", "its last turn is not answered")
    _refuse(not _is_all_trained(sample), "one of its answers is not trained on")
    _refuse_thinking(sample)
    *before, asked, answer = turns
    record: Record = {"instruction": asked.text, "input": asked.input, "output": answer.text}
    if system:
        record["system"] = system
    if before:
        pairs = zip(before[::2], before[1::2], strict=True)
        record["history"] = [[said(user), reply.text] for user, reply in pairs]
    return record


def to_sharegpt(sample: Sample) -> Record:
    """{conversations: [{from, value}]} and, where the sample has them, tools."""
    _refuse_thinking(sample)
    turns = []
    for turn in sample.turns:
        made: Record = {"from": SHAREGPT_NAMES[turn.role], "value": said(turn), **_answers(turn)}
        if turn.tool_calls:
            _refuse(bool(turn.text), "one of its turns both speaks and calls tools")
            made = {"from": "function_call", "value": _short_calls(turn.tool_calls)}
        turns.append(made | _weight(turn))
    return {"conversations": turns, **({"tools": sample.tools} if sample.tools else {})}


def to_messages(sample: Sample) -> Record:
    """{messages: [{role, content, tool_calls?, reasoning_content?}]} and, where there are any, tools."""
    return _with_tools({"messages": [_message(turn) | _weight(turn) for turn in sample.turns]}, sample)


def to_prompt_completion(sample: Sample) -> Record:
    """{prompt: [messages], completion: [messages]}: all up to the last user or tool turn, and the answer."""
    *before, answer = sample.turns
    _refuse(not answer.is_trained, "its last turn is not one that is trained on")
    _refuse(any(turn.is_trained for turn in before), "an answer before the last is trained on too")
    sides = {"prompt": [_message(turn) for turn in before], "completion": [_message(answer)]}
    return _with_tools(sides, sample)


FORMS: dict[str, Callable[[Sample], Record]] = {
    "alpaca": to_alpaca,
    "sharegpt": to_sharegpt,
    "messages": to_messages,
    "prompt_completion": to_prompt_completion,
}


def _plain_alpaca(sample: Sample) -> Record:
    record = to_alpaca(sample)
    _refuse(len(record) > 3, "axolotl's alpaca type has neither system nor history")
    return record


def _strict_sharegpt(sample: Sample) -> Record:
    """ShareGPT as LLaMA-Factory reads it: questions and answers strictly in turn, every answer trained on."""
    record, turns = to_sharegpt(sample), [turn for turn in sample.turns if turn.role != "system"]
    is_strict = [turn.role == "assistant" for turn in turns] == [False, True] * (len(turns) // 2)
    _refuse(
        not is_strict, "LLaMA-Factory wants questions and answers strictly in turn, the last one answered"
    )
    no_switch = "LLaMA-Factory has no switch for an answer that is not trained on"
    _refuse(not _is_all_trained(sample), no_switch)
    return record


def _trained_messages(sample: Sample) -> Record:
    """As `to_messages`, with `train: true` or `false` in every turn instead of weights."""
    _refuse_thinking(sample)
    messages = [{**_message(turn), "train": turn.is_trained} for turn in sample.turns]
    return _with_tools({"messages": messages}, sample)


def _all_trained(sample: Sample) -> Record:
    on_all = "TRL trains on every answer of a dialogue, and not all of this one's are to be trained on"
    _refuse(not _is_all_trained(sample), on_all)
    return to_messages(sample)


def said(turn: Turn) -> str:
    """A turn's text with its separate input behind."""
    return "\n".join(part for part in (turn.text, turn.input) if part)


def _refuse(is_lost: bool, why: str) -> None:
    if is_lost:
        raise LossError(why)


def _refuse_thinking(sample: Sample) -> None:
    _refuse(any(turn.thinking for turn in sample.turns), "one of its answers keeps its thinking apart")


def _is_all_trained(sample: Sample) -> bool:
    return all(turn.is_trained for turn in sample.turns if turn.role == "assistant")


def _with_tools(record: Record, sample: Sample) -> Record:
    return {**record, "tools": json.loads(sample.tools)} if sample.tools else record


def _message(turn: Turn) -> Record:
    message: Record = {"role": turn.role, "content": said(turn)}
    if turn.tool_calls:
        message["tool_calls"] = [
            call if isinstance(call, dict) and "function" in call else {"type": "function", "function": call}
            for call in as_list(json.loads(turn.tool_calls))
        ]
    if turn.thinking:
        message["reasoning_content"] = turn.thinking
    return message | _answers(turn)


def _answers(turn: Turn) -> Record:
    """The id and the name with which a tool's turn says which call it answers."""
    return {key: value for key, value in (("tool_call_id", turn.call_id), ("name", turn.name)) if value}


def _weight(turn: Turn) -> Record:
    return {"weight": 0} if turn.role == "assistant" and not turn.is_trained else {}


def _short_calls(text: str) -> str:
    """Calls as {name, arguments} and their ids, one by itself or several as a list, as in LLaMA-Factory."""
    calls = []
    for call in as_list(json.loads(text)):
        function = call.get("function", call) if isinstance(call, dict) else call
        if isinstance(function, dict):
            function = {**function, **({"id": call["id"]} if call.get("id") else {})}
            if isinstance(arguments := function.get("arguments"), str):
                with suppress(ValueError):
                    function["arguments"] = json.loads(arguments)
        calls.append(function)
    return json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)


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
    if format not in EXPORT_FORMATS:
        near, known = nearest(format, EXPORT_FORMATS), ", ".join(EXPORT_FORMATS)
        raise ConfigError(f"no export format is called {format!r}. {near}Known: {known}.")
    if format in FOLDERS:
        if out.is_file() or out.suffix in (".json", ".jsonl", ".parquet"):
            found = f"format {format} writes a folder, but {str(out)!r} is a file's name"
            raise ConfigError(f"{found}. Name a folder.")
        FOLDERS[format](pool, rows, out)
        return
    endings = (".parquet",) if format == "parquet" else (".jsonl", ".json")
    if out.suffix not in endings or out.is_dir():
        wanted = f"format {format} writes a file that ends in {' or '.join(endings)}"
        raise ConfigError(f"{wanted}, not {str(out)!r}. Name such a file.")
    if format == "parquet":
        _write_parquet([pool.record(row) for row in rows], out)
    else:
        _write_lines(_lines(pool, rows, format), out)


def _lines(pool: Pool, rows: Sequence[int], form: str) -> list[str]:
    """The records as JSON texts: unchanged where all are of the form, else converted."""
    if form == "records" or all(pool.format(row) == form for row in rows):
        return [pool.line(row) for row in rows]
    return _converted(pool, rows, FORMS[form], form)


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


def _fits(pool: Pool, rows: Sequence[int], convert: Callable[[Sample], Record]) -> bool:
    try:
        for row in rows:
            convert(pool.sample(row))
    except LossError:
        return False
    return True


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


def _llamafactory(pool: Pool, rows: Sequence[int], folder: Path) -> None:
    """The data and a dataset_info.json beside it; for its options dataset_dir and dataset."""
    if _fits(pool, rows, to_alpaca):
        lines = _lines(pool, rows, "alpaca")
        has = {key for line in lines for key, value in json.loads(line).items() if value}
        has |= {"instruction", "output"}
        columns = {part: name for part in COLUMNS if (name := getattr(STANDARD["alpaca"], part)) in has}
        info: Record = {"formatting": "alpaca", "columns": columns}
    else:
        lines = _converted(pool, rows, _strict_sharegpt, "llamafactory")
        tools = {"tools": "tools"} if any('"tools"' in line for line in lines) else {}
        columns = {"messages": "conversations", **tools}
        info = {"formatting": "sharegpt", "columns": columns, "tags": SHAREGPT_TAGS}
    _write_lines(lines, folder / f"{NAME}.json")
    described = {NAME: {"file_name": f"{NAME}.json", **info}}
    write_text(folder / "dataset_info.json", json.dumps(described, indent=2) + "\n")


def _axolotl(pool: Pool, rows: Sequence[int], folder: Path) -> None:
    """The data and the datasets section of an axolotl configuration."""
    data = folder / f"{NAME}.jsonl"
    entry: Record = {"path": str(data.resolve()), "ds_type": "json"}
    if _fits(pool, rows, _plain_alpaca):
        lines, entry = _lines(pool, rows, "alpaca"), {**entry, "type": "alpaca"}
    else:
        lines, entry = _converted(pool, rows, _trained_messages, "axolotl"), {**entry, **AXOLOTL}
    _write_lines(lines, data)
    comment = "# Put this into your axolotl configuration.\n"
    write_text(folder / "axolotl.yaml", comment + yaml_text({"datasets": [entry]}))


def _trl(pool: Pool, rows: Sequence[int], folder: Path) -> None:
    """The data and a configuration for `trl sft --config`, in which the loss counts what it counts here."""
    data = folder / f"{NAME}.jsonl"
    is_single = _fits(pool, rows, to_prompt_completion)
    loss = "completion_only_loss" if is_single else "assistant_only_loss"
    _write_lines(_converted(pool, rows, to_prompt_completion if is_single else _all_trained, "trl"), data)
    source = {"path": "json", "data_files": str(data.resolve()), "split": "train"}
    comment = "# trl sft --config sft.yaml --model_name_or_path MODEL --output_dir OUT\n"
    write_text(folder / "sft.yaml", comment + yaml_text({"datasets": [source], loss: True}))


FOLDERS = {"llamafactory": _llamafactory, "axolotl": _axolotl, "trl": _trl}
EXPORT_FORMATS = ("records", *FORMS, "parquet", *FOLDERS)
