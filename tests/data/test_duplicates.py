import random

import numpy as np
import pytest

from diverseevol.base.progress import SILENT
from diverseevol.data import duplicates as module
from diverseevol.data.duplicates import (
    N_HASHES,
    WIDTH,
    Duplicate,
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


def test_dolly_as_brute_force_on_a_sample_and_its_exact_ones(shared_data):
    from diverseevol.data import Pool

    records = Pool.read(shared_data / "pools" / "dolly_15k.jsonl").records
    everything = np.ones(len(records), dtype=bool)
    exact = find_duplicates(records, everything, None, SILENT)
    # 8 whole records are there twice; 7 more differ in their category alone.
    assert len(exact) == 15
    assert sum(records.id(one.position).startswith(records.id(one.kept)[:16]) for one in exact) == 8
    part = np.arange(len(records)) < 400
    longest = max(range(len(records)), key=lambda position: len(records.value("record", position)))
    part[[longest, *(at for one in exact for at in (one.position, one.kept))]] = True
    near = find_duplicates(records, part, 0.7, SILENT)
    assert {one.position for one in exact} <= {one.position for one in near}
    assert all(isinstance(one, Duplicate) and one.similarity >= 0.7 for one in near)


def sets_of(texts):
    return [(shingles(text),) for text in texts]


def keys_of(texts, threshold):
    return band_keys(sets_of(texts), len(texts), threshold)


def definition(texts, threshold):
    """The definition: each text against every earlier one that stays."""
    sets, kept, found = sets_of(texts), [], []
    for text, own in enumerate(sets):
        alike = [(least_jaccard(own, sets[other]), -other) for other in kept] if any(own) else []
        best = max(alike, default=(-1, 0))
        if best[0] >= threshold:
            found.append(Duplicate(text, -best[1], "near", best[0]))
        else:
            kept.append(text)
    return found


def families(seed, n=90):
    """Random texts, with chains of more and more changed copies among them in random order."""
    rng = np.random.default_rng(seed)
    texts = []
    while len(texts) < n:
        text = rng.choice(list("abcdefghij "), rng.integers(3, 200))
        texts.append("".join(text))
        for _ in range(rng.integers(0, 5)):
            text = np.where(rng.random(len(text)) < rng.choice([0, 0.01, 0.05]), "z", text)
            texts.append("".join(text))
    return [texts[at] for at in rng.permutation(len(texts))] + ["", ""]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_as_definition(threshold):
    n_expected = n_same = 0
    for seed in range(4):
        texts = families(seed)
        sets, expected = sets_of(texts), definition(texts, threshold)
        found = near_duplicates(keys_of(texts, threshold), sets.__getitem__, threshold)
        n_expected, n_same = n_expected + len(expected), n_same + len(set(found) & set(expected))
        dropped = {one.position for one in found}
        for one in found:
            assert one.similarity == least_jaccard(sets[one.position], sets[one.kept]) >= threshold
            assert one.kept < one.position
            assert one.kept not in dropped
    assert n_expected > 60
    assert n_same >= 0.98 * n_expected


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


def test_no_chain_ties_unlike_texts_together():
    words = [f"word{number:02d}" for number in range(20)]
    chain = [" ".join(words[:at] + [f"new{n:03d}" for n in range(at)] + words[at:]) for at in (0, 2, 4)]
    sets = sets_of(chain)
    step, far = least_jaccard(sets[0], sets[1]), least_jaccard(sets[0], sets[2])
    threshold = (max(step, far) + far) / 2
    assert least_jaccard(sets[1], sets[2]) > threshold
    assert near_duplicates(keys_of(chain, 0.5), sets.__getitem__, threshold) == [Duplicate(1, 0, "near", step)]


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
