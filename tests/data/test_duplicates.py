import random

import numpy as np
import pytest

from diverseevol.base.progress import SILENT
from diverseevol.data import duplicates as module
from diverseevol.data.duplicates import (
    N_HASHES,
    WIDTH,
    band_keys,
    compared_parts,
    find_duplicates,
    least_jaccard,
    near_duplicates,
    rows_per_band,
    shingles,
)

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


def test_copies_of_a_near_duplicate_follow_it(read):
    records = read([alpaca(LONG), alpaca(LONG + "!"), alpaca("other"), alpaca(LONG + "!")])
    assert found(records, 0.7) == [(1, 0, "near"), (3, 0, "near")]
    assert found(records) == [(3, 1, "exact")]


def brute_force(records, threshold):
    """All pairs, in sets of character runs; the first of a group stays."""

    def sets(position):
        return [
            {text.ljust(WIDTH)[at : at + WIDTH] for at in range(max(1, len(text) - WIDTH + 1))} if text else set()
            for text in compared_parts(records.samples(position, position + 1)[0])
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


def sets_of(texts):
    return [(shingles(text),) for text in texts]


def keys_of(texts, threshold):
    return band_keys(sets_of(texts), len(texts), threshold)


def test_a_shingle_counts_for_its_part_alone():
    one, other = shingles("a text of some length"), shingles("quite another one, as long")
    keys = band_keys([(one, other), (other, one), (one, other)], 3, 0.5)
    assert not (keys[0] == keys[1]).any()
    assert (keys[0] == keys[2]).all()


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
def test_bands_find_pairs_at_the_threshold_with_the_fewest_false_alarms(threshold):
    missed = [(1 - threshold**rows) ** (N_HASHES // rows) for rows in range(1, 33)]
    rows = rows_per_band(threshold)
    assert missed[rows - 1] <= 0.01
    assert all(share > 0.01 for share in missed[rows:])
    assert band_keys([({"abcde"},)], 1, threshold).shape == (1, N_HASHES // rows)


def test_equally_similar_the_first_and_else_the_most_similar():
    base = "abcdefghijklmnopqrstuvwxyz0123456789"
    texts = [base + "AAAAAAAA", base + "BBBBBBBB", base + "CCCCCCCC"]
    sets = sets_of([*texts, base])
    keys = np.zeros((4, 8), dtype=np.uint32)
    (found,) = near_duplicates(keys, sets.__getitem__, 0.8)
    assert (found.position, found.kept) == (3, 0)
    (found,) = near_duplicates(keys, sets_of([*texts, base + "CCCCCCCD"]).__getitem__, 0.8)
    assert (found.position, found.kept) == (3, 2)


def test_a_pool_of_one_template_stays_linear(monkeypatch):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefghij"), 30)) for _ in range(400)]
    sets, n_compared = sets_of(texts), 0

    def counted(one, other):
        nonlocal n_compared
        n_compared += 1
        return least_jaccard(one, other)

    monkeypatch.setattr(module, "least_jaccard", counted)
    keys = np.zeros((400, 8), dtype=np.uint32)
    assert near_duplicates(keys, sets.__getitem__, 0.9) == []
    assert n_compared <= 400 * module.MAX_MET
