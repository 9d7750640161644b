import random

import numpy as np
import pytest

from diverseevol.base.progress import SILENT
from diverseevol.data import duplicates as module
from diverseevol.data.duplicates import Duplicate, compared_parts, find_duplicates
from diverseevol.data.normal import WIDTH

LONG = "The quick brown fox jumps over the lazy dog while seven wizards quietly mix some very odd potions in the old cellar"


def alpaca(instruction, output="An answer long enough to be compared.", input="", **more):
    return {"instruction": instruction, "input": input, "output": output, **more}


def found(records, threshold=None, is_in=None):
    is_in = np.ones(len(records), dtype=bool) if is_in is None else np.array(is_in)
    return [(one.position, one.kept, one.kind) for one in find_duplicates(records, is_in, threshold, SILENT)]


def test_exact_is_the_dialogue_whatever_else_the_record_holds(read):
    turns = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "An answer long enough to be compared."}]
    records = read(
        [
            alpaca("first"),
            alpaca("second", id=1),
            alpaca("second", id=2, category="x"),
            alpaca("First"),
            alpaca("first"),
            alpaca("first", input="with input"),
            alpaca("first", system="be brief"),
            {"messages": turns},
            {"messages": [turns[0], {**turns[1], "weight": 0}, *turns]},
            {"messages": [turns[0], turns[1], *turns]},
            alpaca("firs", output="t An answer long enough to be compared."),
        ]
    )
    assert found(records) == [(2, 1, "exact"), (4, 0, "exact"), (7, 0, "exact")]


def test_only_rows_that_count_are_kept_or_named(read):
    records = read([alpaca("first"), alpaca("second"), alpaca("first"), alpaca("first")])
    assert found(records, is_in=[False, True, True, True]) == [(3, 2, "exact")]
    assert found(records, is_in=[True, True, True, False]) == [(2, 0, "exact")]


@pytest.mark.parametrize(
    ("changed", "is_near"),
    [
        (LONG.upper() + "!!", True),
        (LONG.replace("lazy", "idle"), True),
        (LONG.replace(" ", "\n"), True),
        (LONG + " and then they all sleep", True),
        (LONG[: len(LONG) // 2], False),
        (" ".join(sorted(LONG.split())), False),
    ],
)
@pytest.mark.parametrize("part", ["instruction", "input", "output"])
def test_near_in_every_part(read, changed, is_near, part):
    one = {"instruction": LONG, "input": LONG, "output": LONG}
    records = read([alpaca("something else"), one, {**one, part: changed}])
    assert found(records, 0.7) == ([(2, 1, "near")] if is_near else [])


def test_another_question_about_the_same_passage_is_no_duplicate(read):
    records = read(
        [alpaca("When did the wizards come?", "In 1900.", LONG * 9), alpaca("Who is lazy there?", "The dog.", LONG * 9)]
    )
    assert found(records, 0.5) == []


def test_another_script(read):
    chinese = "请用简单的语言向一个十岁的孩子解释量子计算机是怎样工作的，并给出两个例子。"
    records = read([alpaca(chinese, chinese), alpaca(chinese.replace("两个", "三个"), chinese), alpaca("你好", "再见")])
    assert found(records, 0.7) == [(1, 0, "near")]


def test_very_short_rows_and_rows_of_signs(read):
    records = read([alpaca("a", "b"), alpaca("A", "b"), alpaca("a", "c"), alpaca("?", "!"), alpaca("!", "?"), alpaca("!", "?")])
    assert found(records, 0.7) == [(1, 0, "near"), (5, 4, "exact")]


def test_copies_of_a_near_duplicate_follow_it(read):
    records = read([alpaca(LONG), alpaca(LONG + "!"), alpaca("other"), alpaca(LONG + "!")])
    assert found(records, 0.7) == [(1, 0, "near"), (3, 0, "near")]
    assert found(records) == [(3, 1, "exact")]


def brute_force(records, threshold):
    """All pairs, in sets of character runs; the first of a group stays."""

    def sets(position):
        return [
            {text.ljust(WIDTH)[at : at + WIDTH] for at in range(max(1, len(text) - WIDTH + 1))} if text else set()
            for text in compared_parts(records.sample(position))
        ]

    def similarity(one, other):
        return min(len(a & b) / len(a | b) if a | b else 1.0 for a, b in zip(one, other, strict=True))

    everything, kept, expected = [sets(position) for position in range(len(records))], [], []
    for position, own in enumerate(everything):
        best = max(((similarity(own, everything[other]), -other) for other in kept), default=(0, 0))
        if best[0] >= threshold:
            expected.append((position, -best[1], pytest.approx(best[0])))
        else:
            kept.append(position)
    return expected


def test_as_brute_force_with_planted_copies(read, monkeypatch):
    monkeypatch.setattr(module, "HELD_TEXTS", 4)
    rng = random.Random(0)
    vocabulary = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("an", "est", "ill", "ong", "up")]
    rows = [
        alpaca(" ".join(rng.choices(vocabulary, k=rng.randint(6, 30))), " ".join(rng.choices(vocabulary, k=20)))
        for _ in range(80)
    ]
    for _ in range(60):
        row = dict(rng.choice(rows))
        words = row["instruction"].split()
        words[rng.randrange(len(words))] = rng.choice(vocabulary)
        rows.insert(rng.randrange(len(rows)), {**row, "instruction": " ".join(words), "output": row["output"].upper() + "."})
    records = read(rows)
    result = find_duplicates(records, np.ones(len(records), dtype=bool), 0.7, SILENT)
    expected = brute_force(records, 0.7)
    assert len(expected) > 30
    assert [(one.position, one.kept, one.similarity) for one in result] == expected


def test_all_rows_alike(read):
    records = read([alpaca(LONG + "!" * number) for number in range(300)])
    assert found(records, 0.7) == [(number, 0, "near") for number in range(1, 300)]


def test_dolly_as_brute_force_on_a_sample_and_its_exact_ones(shared_data):
    from diverseevol.data import Pool

    records = Pool.read(shared_data / "pools" / "dolly_15k.jsonl").records
    everything = np.ones(len(records), dtype=bool)
    exact = find_duplicates(records, everything, None, SILENT)
    # 8 whole records are there twice; 7 more differ in their category alone.
    assert len(exact) == 15
    assert sum(records.id(one.position).startswith(records.id(one.kept)[:16]) for one in exact) == 8
    part = np.arange(len(records)) < 400
    longest = max(range(len(records)), key=lambda position: len(records.record_text(position)))
    part[[longest, *(at for one in exact for at in (one.position, one.kept))]] = True
    near = find_duplicates(records, part, 0.7, SILENT)
    assert {one.position for one in exact} <= {one.position for one in near}
    assert all(isinstance(one, Duplicate) and one.similarity >= 0.7 for one in near)
