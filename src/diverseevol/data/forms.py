"""From a sample to the records of other tools; what a form cannot hold is refused, never dropped.

A user turn's separate input follows its text on a new line where a form has no place for it, as in
LLaMA-Factory. A turn that is not trained on gets `weight: 0` (OpenAI's name for it) in dialogues, and is
refused by forms without such a switch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .row import as_list
from .sample import Sample, Turn

Record = dict[str, Any]


class LossError(Exception):
    """What of a sample a form cannot hold; caught by the export, which knows the sample's id."""


def to_alpaca(sample: Sample) -> Record:
    """{instruction, input, output} and, where the sample has them, system and history.

    Raises:
        LossError: tools, an unanswered last turn, an answer that is not trained on, or thinking under a key
            of its own.
    """
    turns = list(sample.turns)
    system = turns.pop(0).text if turns[0].role == "system" else ""
    _refuse(
        bool(sample.tools) or any(turn.tool_calls or turn.role == "tool" for turn in turns), "it uses tools"
    )
    _refuse(turns[-1].role != "assistant", "its last turn is not answered")
    _refuse(
        not all(turn.is_trained for turn in turns if turn.role == "assistant"),
        "one of its answers is not trained on",
    )
    _refuse_thinking(sample)
    *before, asked, answer = turns
    record: Record = {"instruction": asked.text, "input": asked.input, "output": answer.text}
    if system:
        record["system"] = system
    if before:
        record["history"] = [
            [said(user), reply.text] for user, reply in zip(before[::2], before[1::2], strict=True)
        ]
    return record


def to_plain_alpaca(sample: Sample) -> Record:
    """As `to_alpaca`, for readers that know no more than instruction, input and output.

    Raises:
        LossError: it has system or history, too, or as `to_alpaca`.
    """
    record = to_alpaca(sample)
    _refuse(len(record) > 3, "axolotl's alpaca type has neither system nor history")
    return record


def to_sharegpt(sample: Sample) -> Record:
    """{conversations: [{from, value}]} and, where the sample has them, tools.

    Raises:
        LossError: a turn both speaks and calls tools, or keeps its thinking under a key of its own.
    """
    _refuse_thinking(sample)
    record: Record = {"conversations": [_sharegpt_turn(turn) for turn in sample.turns]}
    if sample.tools:
        record["tools"] = sample.tools
    return record


def to_strict_sharegpt(sample: Sample) -> Record:
    """ShareGPT as LLaMA-Factory reads it: questions and answers strictly in turn, every answer trained on.

    Raises:
        LossError: they are not, or as `to_sharegpt`.
    """
    record = to_sharegpt(sample)
    answers = [turn.role == "assistant" for turn in sample.turns if turn.role != "system"]
    if answers != [bool(number % 2) for number in range(len(answers))] or not answers[-1]:
        raise LossError("LLaMA-Factory wants questions and answers strictly in turn, the last one answered")
    if any("weight" in turn for turn in record["conversations"]):
        raise LossError("LLaMA-Factory has no switch for an answer that is not trained on")
    return record


def to_messages(sample: Sample) -> Record:
    """{messages: [{role, content, tool_calls?, reasoning_content?}]} and, where there are any, tools."""
    record: Record = {"messages": [_message(turn) for turn in sample.turns]}
    return _with_tools(record, sample)


def to_trained_messages(sample: Sample) -> Record:
    """As `to_messages`, with `train: true` or `false` in every turn instead of weights.

    Raises:
        LossError: a turn keeps its thinking under a key of its own.
    """
    _refuse_thinking(sample)
    messages = [{**_message(turn), "train": turn.is_trained} for turn in sample.turns]
    for message in messages:
        message.pop("weight", None)
    return _with_tools({"messages": messages}, sample)


def to_all_trained(sample: Sample) -> Record:
    """As `to_messages`, where every answer is trained on, for trainers that train on all of them.

    Raises:
        LossError: one is not.
    """
    if not all(turn.is_trained for turn in sample.turns if turn.role == "assistant"):
        raise LossError(
            "TRL trains on every answer of a dialogue, and not all of this one's are to be trained on"
        )
    return to_messages(sample)


def to_prompt_completion(sample: Sample) -> Record:
    """{prompt: [messages], completion: [messages]}: all up to the last user or tool turn, and the answer.

    Raises:
        LossError: an earlier answer is trained on too, or the last turn is no answer that is.
    """
    *before, answer = sample.turns
    _refuse(
        answer.role != "assistant" or not answer.is_trained, "its last turn is not one that is trained on"
    )
    _refuse(any(turn.is_trained for turn in before), "an answer before the last is trained on too")
    messages = [{key: value for key, value in _message(turn).items() if key != "weight"} for turn in before]
    return _with_tools({"prompt": messages, "completion": [_message(answer)]}, sample)


FORMS: dict[str, Callable[[Sample], Record]] = {
    "alpaca": to_alpaca,
    "sharegpt": to_sharegpt,
    "messages": to_messages,
    "prompt_completion": to_prompt_completion,
}


def said(turn: Turn) -> str:
    """A turn's text with its separate input behind."""
    return "\n".join(part for part in (turn.text, turn.input) if part)


def _refuse(is_lost: bool, why: str) -> None:
    if is_lost:
        raise LossError(why)


def _refuse_thinking(sample: Sample) -> None:
    _refuse(any(turn.thinking for turn in sample.turns), "one of its answers keeps its thinking apart")


def _with_tools(record: Record, sample: Sample) -> Record:
    if sample.tools:
        record["tools"] = json.loads(sample.tools)
    return record


def _message(turn: Turn) -> Record:
    message: Record = {"role": turn.role, "content": said(turn)}
    if turn.tool_calls:
        message["tool_calls"] = [_in_envelope(call) for call in as_list(json.loads(turn.tool_calls))]
    if turn.thinking:
        message["reasoning_content"] = turn.thinking
    message |= _answered(turn)
    if turn.role == "assistant" and not turn.is_trained:
        message["weight"] = 0
    return message


def _answered(turn: Turn) -> Record:
    """The id and the name with which a tool's turn says which call it answers."""
    return {key: value for key, value in (("tool_call_id", turn.call_id), ("name", turn.name)) if value}


def _in_envelope(call: Any) -> Any:  # noqa: ANN401 - any JSON value
    return call if isinstance(call, dict) and "function" in call else {"type": "function", "function": call}


def _sharegpt_turn(turn: Turn) -> Record:
    names = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
    record: Record = {"from": names[turn.role], "value": said(turn), **_answered(turn)}
    if turn.tool_calls:
        _refuse(bool(turn.text), "one of its turns both speaks and calls tools")
        record = {"from": "function_call", "value": _short_calls(turn.tool_calls)}
    if turn.role == "assistant" and not turn.is_trained:
        record["weight"] = 0
    return record


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
