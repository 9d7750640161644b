"""A run's state in lines: all of it, or what has changed since the last look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..base.text import duration, progress_words
from .run import round_line
from .score_text import printable

State = dict[str, Any]


def status_lines(state: State) -> Iterator[str]:
    """Everything, for one look."""
    yield f"{state['run']}: {head_words(state)}"
    yield from map(round_line, state["rounds"])
    yield from now_lines(state)
    yield from cost_lines(state["progress"])
    yield sum_words(state)


def now_lines(state: State, width: int = 100) -> Iterator[str]:
    """What is under way, or why nothing is; the last picks, each in at most `width` letters."""
    if state["stopped"]:
        yield f"stopped by itself: {state['stopped']}"
    if state["stage"]:
        yield at_words(state)
    for pick in state["picks"]:
        yield pick_words(pick, width)


def overview_line(state: State) -> str:
    """A run among others in a line."""
    under_way = f"; {at_words(state)}" if state["stage"] else ""
    return f"{state['run']}: {printable(state['state'])}; {state['strategy']}{under_way}; {sum_words(state)}"


def changes(last: State | None, state: State) -> Iterator[str]:
    """What is new: another state, finished rounds, picks, stages, and every tenth of a piece of work."""
    if last is None or last["state"] != state["state"]:
        yield f"{state['run']}: {head_words(state)}"
    yield from map(round_line, state["rounds"][len(last["rounds"]) if last else 0 :])
    if state["picks"] != (last["picks"] if last else []):
        yield from map(pick_words, state["picks"])
    if state["stage"] and (last is None or _place(last) != _place(state)):
        yield at_words(state)
    if state["is_running"] is False:
        yield sum_words(state)


def _place(state: State) -> tuple[Any, ...]:
    task = state["task"]
    tenth = int(10 * task["done"] / task["total"]) if task and task["total"] else None
    return state["round"], state["stage"], task and task["name"], tenth


def head_words(state: State) -> str:
    """Who works on it, how it chooses, and from what."""
    return f"{printable(state['state'])}; {state['strategy']}, {pool_words(state)}"


def pool_words(state: State) -> str:
    """Rows of the pool, and what was left out of it."""
    if state["stage"] == "pool":
        return "pool not read yet"
    n_found, n_dropped = state["n_duplicates"], state["n_duplicates_dropped"]
    parts = [
        f"{state['n_quarantined']:,} in quarantine",
        f"{n_dropped:,} duplicates left out" if n_dropped else "",
        f"{n_found - n_dropped:,} duplicates among them" if n_found > n_dropped else "",
        f"{state['n_contaminated']:,} left out as benchmark questions" if state["n_contaminated"] else "",
    ]
    return f"pool {state['n_pool']:,} rows ({', '.join(filter(None, parts))})"


def at_words(state: State) -> str:
    """The round and stage under way, and how far that is."""
    where = "after the last round" if state["round"] is None else f"round {state['round']}"
    return f"{where}: {task_words(state['task'])}" if state["task"] else f"{where}: at stage {state['stage']}"


def task_words(task: State) -> str:
    """`train: 3 of 6 steps (50%), 4.2 s/step, 13 s left, loss 2.1`."""
    words = progress_words(
        task["done"], task["total"], task["unit"], task["rate"], task["seconds_left"], task["about"]
    )
    return printable(f"{task['name']}: {words}")


def pick_words(pick: State, width: int = 100) -> str:
    """A pick as people would say it, in at most `width` letters."""
    is_by_distance = pick.get("distance") is not None and pick.get("nearest_id")
    before = "drawn: “" if pick["round"] == 0 else "picked: “"
    behind = f"” {pick['distance']:.3g} from its nearest chosen" if is_by_distance else "”"
    text, room = printable(" ".join(pick["text"].split())), width - len(before) - len(behind)
    return before + (text if len(text) <= room else text[: room - 1].rstrip() + "…") + behind


def cost_lines(progress: State | None) -> Iterator[str]:
    """Predicted beside measured, a line a stage."""
    if not progress:
        return
    for stage in ("train", "embed"):
        tokens, flops = progress[stage]["tokens"], progress[stage]["flops"]
        if flops["measured"]:
            yield (
                f"{stage}: {tokens['predicted']:,.0f} tokens predicted, {tokens['measured']:,.0f} measured; FLOPs {flops['predicted']:.3g} "
                f"predicted, {flops['measured']:.3g} measured ({flops['measured'] / flops['predicted'] - 1:+.0%})"
            )
    whole, memory = progress["flops"], progress["memory"]
    if progress["train"]["flops"]["measured"] and progress["embed"]["flops"]["measured"]:
        more = whole["measured"] / whole["predicted"] - 1
        yield f"both: FLOPs {whole['predicted']:.3g} predicted, {whole['measured']:.3g} measured ({more:+.0%})"
    if memory["predicted"] and memory["measured"]:
        yield f"peak memory: {memory['predicted'] / 1e9:.2f} GB predicted, {memory['measured'] / 1e9:.2f} GB measured"


def sum_words(state: State) -> str:
    """Rounds, time and disk in all, and the time that is left at the rate of the finished rounds."""
    left = (state["progress"] or {}).get("seconds_left")
    about = f" about {duration(left)} left," if left else ""
    n_done, spent, size = len(state["rounds"]), duration(state["seconds"]), state["bytes"] / 1e6
    return f"{n_done} of {state['n_rounds']} rounds done, {spent} so far,{about} {size:,.0f} MB on disk"
