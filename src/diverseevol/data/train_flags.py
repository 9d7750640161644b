"""What a row says about being trained on: switches of messages, parts and rows, and preference data.

Switches: those of OpenAI's and Mistral's fine-tuning (`weight`), axolotl (`train`, `training`,
`train_detail`), ms-swift and XTuner (`loss`, `loss_scale`, `output_with_loss`), LLaMA-Factory
(`loss_weight`), verl and slime (`loss_mask`, `step_loss_mask`) and torchtune (`masked`, which is the other
way round). They are followed where they say yes or no for a whole turn; anything else that has to do with
training, a loss, a weight or a mask is a reason to put the row aside.

Preference data (DPO, KTO and their like): rows that also hold, or are, an answer that is not to be learnt.
Such a row is used where it says which answer is the chosen one and that answer is what would be trained on;
anything else is put aside, with the mapping that trains on the chosen answers.
The checks raise `RowError`. They take a record's keys, too: what is found among them is remembered.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

from .sample import RowError, Sample

FOLLOWED = re.compile(
    "(is_)?train(ed|ing|able)?|train_on(_turn)?|weight|(step_)?loss(_weight|_scale|_mask)?|output_with_loss"
    "|(calculate|compute)_loss"
)
REVERSED = re.compile("(is_)?masked|(ignore|no)_loss")
ABOUT = re.compile("(?<![a-z])(train(ed|ing|able)?|weights?|loss|mask(ed)?)(?![a-z])")
WORDS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
APPROVES = re.compile("label|kto_tag|(is_)?(chosen|accepted|preferred|desirable)")
"""A row's own verdict on its answer; `label` as TRL and ms-swift have it, `kto_tag` as LLaMA-Factory."""
DISAPPROVES = re.compile("(is_)?(rejected|undesirable)")
PROMPTS = ("prompt", "instruction", "question", "query", "input", "messages", "conversations", "conversation")
BESIDE = {"system": "system", "system_prompt": "system", "history": "history", "tools": "tools"}
LISTS = re.compile("(respons|completion|answer|generation|candidate|output)e?s")
SEVERAL = "several answers, as preference data has them; write the one to train on into a column of its own"
NUMBERED = re.compile(r"(response|completion|answer|output|generation)s?([_-]?[0-9a-d]|[_-][a-z])")


@lru_cache(maxsize=4096)
def switch_kind(key: str) -> Literal["followed", "reversed", "unclear", ""]:
    """How a key switches training; empty where it has nothing to do with it."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()
    if FOLLOWED.fullmatch(name):
        return "followed"
    if REVERSED.fullmatch(name):
        return "reversed"
    return "unclear" if ABOUT.search(name) else ""


def switch_value(value: Any) -> bool | None:  # noqa: ANN401 - any JSON value
    """What a switch's value says; None where it is neither yes nor no."""
    if isinstance(value, str):
        return WORDS.get(value.strip().lower())
    return bool(value) if isinstance(value, (int, float)) and value in (0, 1) else None


def is_switched_on(message: dict[str, Any], parts: list[Any], number: int) -> bool:
    """Whether an assistant's message is to be trained on: unless it or all of its parts are switched off.

    Args:
        message: The message.
        parts: What it consists of: blocks of text, calls.
        number: Its number among the turns.
    """
    of_turn = _switches(message, number)
    of_parts = [_switches(part, number) if isinstance(part, dict) else [] for part in parts if part]
    said = [*of_turn, *(one for part in of_parts for one in part)]
    on, off = [key for key, is_on in said if is_on], [key for key, is_on in said if not is_on]
    if len({is_on for _, is_on in of_turn}) > 1:
        raise RowError(f"turn {number} is switched on by {on[0]!r} and off by {off[0]!r}")
    if off and (on or not (of_turn or all(of_parts))):
        raise RowError(f"turn {number} has a part that {off[0]!r} switches off; only a whole turn can be")
    return not off


def _switches(holder: dict[str, Any], number: int) -> list[tuple[str, bool]]:
    """The switches of a message, a part of it or a call, each with whether it is to be trained on."""
    function = holder.get("function")
    found = []
    for key, value in {**holder, **(function if isinstance(function, dict) else {})}.items():
        kind = switch_kind(key)
        if not kind or value is None or value in ("", [], {}):
            continue
        if kind == "unclear":
            why = "which cannot be followed; write train: true or false for whole turns"
            raise RowError(f"turn {number} has {key}, {why}")
        said = switch_value(value)
        if said is None:
            raise RowError(f"turn {number} has {key} {value!r}; only 0 and 1 can be followed")
        found.append((key, said is (kind == "followed")))
    return found


@lru_cache(maxsize=4096)
def _columns(keys: tuple[str, ...]) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, bool], ...]]:
    """Among a record's keys its switches, with their kind, and its verdicts, with whether true is good."""
    switches = tuple((key, kind) for key in keys if (kind := switch_kind(key)))
    said = [(key, bool(APPROVES.fullmatch(key.lower()))) for key in keys]
    return switches, tuple((key, yes) for key, yes in said if yes or DISAPPROVES.fullmatch(key.lower()))


def check_row_is_on(record: dict[str, Any], keys: tuple[str, ...]) -> None:
    """Check that no key of a record switches off the row, or parts of it by a list."""
    for key, kind in _columns(keys)[0]:
        value, off = record[key], kind == "reversed"
        if isinstance(value, list):
            said = {switch_value(one) for one in value}
            if None not in said and (off in said or (kind == "unclear" and len(said) > 1)):
                parts = "parts of the row off; write train: true or false in its turns"
                raise RowError(f"{key} {str(value)[:40]} switches {parts}")
        elif kind != "unclear" and switch_value(value) is off:
            raise RowError(f"{key} {str(value)[:40]} switches the row off")


def check_is_wanted(record: dict[str, Any], keys: tuple[str, ...]) -> None:
    """Check that a record, or a message, does not itself call its answer a bad one."""
    for key, is_yes in _columns(keys)[1]:
        value = record[key]
        said = value.strip().lower() if isinstance(value, str) else value
        # Many a data set has a label 0 that is a class.
        is_zero = isinstance(said, int) and said == 0 and (said is False or key != "label")
        if (is_zero or said in ("false", "rejected")) if is_yes else (said is True or said == "true"):
            raise RowError(
                f"{key} {value!r}: a rejected answer (preference data); "
                "take such rows out, or raise pool.max_bad to train on the others"
            )


@lru_cache(maxsize=4096)
def answer_columns(keys: tuple[str, ...]) -> tuple[str, str]:
    """The columns of the chosen and of the rejected answer among a record's; empty where there is none."""
    worse = [key for key in keys if re.search(r"reject|dispref|non_?pref|undesir", key.lower())]
    others = [key for key in keys if key not in worse]
    better = [key for key in others if re.search(r"chosen|preferred|accepted", key.lower())]
    # Scores and models of the two have longer names than they.
    return min(better, key=len, default=""), min(worse, key=len, default="")


def check_is_chosen(record: dict[str, Any], keys: tuple[str, ...], sample: Sample) -> None:
    """Check that the last answer of a sample is the one that its record chooses, if it chooses."""
    if not answer_columns(keys)[1]:
        return
    filled = tuple(key for key in keys if isinstance(record[key], (str, list, dict)) and record[key])
    better, worse = answer_columns(filled)
    if not worse:
        return
    answer = next((turn.text for turn in reversed(sample.turns) if turn.role == "assistant"), "").strip()
    is_last = sample.turns[-1].role == "assistant"
    chosen, rejected = _last_text(record.get(better)), _last_text(record.get(worse))
    if is_last and answer == rejected != chosen:
        raise RowError(f"its answer is the one under {worse!r} (preference data){mapping(record)}")
    if better and not (is_last and answer == chosen):
        raise RowError(f"preference data, and its answer is not the one under {better!r}{mapping(record)}")


def describe_preferences(record: dict[str, Any]) -> str:
    """What a record that is not understood has to do with preferences; empty where nothing."""
    better, worse = answer_columns(tuple(record))
    if better and isinstance(record[better], (str, list, dict)):
        return f"preference data{mapping(record)}"
    lists = [key for key, value in record.items() if LISTS.fullmatch(key.lower()) and isinstance(value, list)]
    if worse or lists or len([key for key in record if NUMBERED.fullmatch(key.lower())]) > 1:
        return SEVERAL
    return ""


def mapping(record: dict[str, Any]) -> str:
    """How to train on the chosen answers of records like this one, behind a colon, or what to do instead."""
    better, _ = answer_columns(tuple(record))
    chosen = record.get(better)
    prompt = next((key for key in PROMPTS if record.get(key)), "")
    if isinstance(chosen, str) and re.match(r"\s*Human:", chosen):
        return "; whole dialogues as one text: write them as messages"
    if isinstance(chosen, list) and chosen and _role(chosen[0]) not in ("assistant", "gpt", "model"):
        return f": pool.columns={{messages: {better}}} trains on the chosen answers"
    is_nested = isinstance(record.get(prompt), dict) and not _role(record[prompt])
    if not (chosen and prompt) or is_nested:
        return "; write the chosen answers beside their prompts, as prompt and response"
    beside = [f"{part}: {key}" for key, part in BESIDE.items() if record.get(key)]
    beside += [f"query: {key}" for key in ("input", "context") if record.get(key) and key != prompt][:1]
    words = ", ".join([f"prompt: {prompt}", f"response: {better}", *beside])
    return f": pool.columns={{{words}}} trains on the chosen answers"


def _last_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    message = value[-1] if isinstance(value, list) and value else value
    if isinstance(message, dict):
        texts = (message.get(key) for key in ("content", "value", "text"))
        message = next((text for text in texts if isinstance(text, str)), "")
    return message.strip() if isinstance(message, str) else ""


def _role(message: Any) -> Any:  # noqa: ANN401 - any JSON value
    return message.get("role", message.get("from")) if isinstance(message, dict) else None
