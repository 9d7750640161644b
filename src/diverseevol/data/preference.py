"""Preference data: rows that also hold, or are, an answer that is not to be learnt (DPO, KTO and their like).

Such a row is used where it says which answer is the chosen one and that answer is what would be trained on;
anything else is put aside, with the mapping that trains on the chosen answers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from .row import RowError
from .sample import Sample

APPROVES = re.compile("label|kto_tag|(is_)?(chosen|accepted|preferred|desirable)")
"""A row's own verdict on its answer; `label` as TRL and ms-swift have it, `kto_tag` as LLaMA-Factory."""
DISAPPROVES = re.compile("(is_)?(rejected|undesirable)")
PROMPTS = ("prompt", "instruction", "question", "query", "input", "messages", "conversations", "conversation")
BESIDE = {"system": "system", "system_prompt": "system", "history": "history", "tools": "tools"}
LISTS = re.compile("(respons|completion|answer|generation|candidate|output)e?s")
SEVERAL = "several answers, as preference data has them; write the one to train on into a column of its own"
NUMBERED = re.compile(r"(response|completion|answer|output|generation)s?([_-]?[0-9a-d]|[_-][a-z])")


@lru_cache(maxsize=4096)
def answer_columns(keys: tuple[str, ...]) -> tuple[str, str]:
    """The columns of the chosen and of the rejected answer among a record's; empty where there is none."""
    worse = [key for key in keys if re.search(r"reject|dispref|non_?pref|undesir", key.lower())]
    better = [
        key for key in keys if re.search(r"chosen|preferred|accepted", key.lower()) and key not in worse
    ]
    # Scores and models of the two have longer names than they.
    return min(better, key=len, default=""), min(worse, key=len, default="")


@lru_cache(maxsize=4096)
def verdict_columns(keys: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """The columns that say whether a record's answer is a good one, each with whether true means yes."""
    said = [(key, bool(APPROVES.fullmatch(key.lower()))) for key in keys]
    return tuple((key, is_yes) for key, is_yes in said if is_yes or DISAPPROVES.fullmatch(key.lower()))


def check_is_wanted(record: dict[str, Any], keys: tuple[str, ...]) -> None:
    """Check that a record, which has these keys, does not itself call its answer a bad one.

    Raises:
        RowError: it does.
    """
    for key, is_yes in verdict_columns(keys):
        value = record[key]
        said = value.strip().lower() if isinstance(value, str) else value
        is_zero = isinstance(said, int) and said == 0 and (said is False or key != "label")
        if (is_zero or said in ("false", "rejected")) if is_yes else (said is True or said == "true"):
            raise RowError(
                f"{key} {value!r}: a rejected answer (preference data); "
                "take such rows out, or raise pool.max_bad to train on the others"
            )


def check_is_chosen(record: dict[str, Any], keys: tuple[str, ...], sample: Sample) -> None:
    """Check that the last answer of a sample is the one that its record, which has these keys, chooses.

    Raises:
        RowError: it is, or which one is chosen cannot be told.
    """
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


def describe(record: dict[str, Any]) -> str:
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
