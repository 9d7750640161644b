import hashlib
import json
import re
from collections import Counter
from random import Random

import pytest

from diverseevol.demo.pool import _distinct, make_heldout, make_pool, rare_skills, zipf_counts
from diverseevol.demo.skill import Skill
from diverseevol.demo.skills import SKILLS


@pytest.fixture(scope="module")
def pool():
    return make_pool()


def text_of(record):
    return json.dumps([record["instruction"], record["input"], record.get("history")])


def bare(record):
    """The text without what a rewording may have put around the question."""
    said = re.sub(r"^(Please help me\. |Hello! |Question: )|( Thank you\.)$", "", record["instruction"]).strip().rstrip(".?")
    return json.dumps([said, record["input"], record.get("history")])


def test_the_bytes_follow_from_the_seed(pool):
    digest = hashlib.sha256(json.dumps(pool).encode()).hexdigest()
    assert digest[:16] == "281976cddfd8495d"
    assert make_pool() == pool
    assert make_pool(seed=1) != pool
    assert make_heldout(3, seed=4) == make_heldout(3, seed=4)
    assert make_heldout(3, seed=4) != make_heldout(3, seed=5)


def test_the_global_generator_is_left_alone():
    import random

    state = random.getstate()
    make_pool(100)
    make_heldout(1)
    assert random.getstate() == state


def test_records_are_complete(pool):
    for record in pool:
        assert set(record) - {"history"} == {"instruction", "input", "output", "skill"}
        assert record["instruction"].strip()
        assert record["output"].strip()


@pytest.mark.parametrize("n_rows", [len(SKILLS), 200, 777, 3000])
def test_the_mix_has_a_long_tail_and_every_skill(n_rows):
    counts = sorted(Counter(record["skill"] for record in make_pool(n_rows, seed=3)).values(), reverse=True)
    assert sum(counts) == n_rows
    assert len(counts) == len(SKILLS)
    if n_rows == 3000:
        assert counts[0] > 500
        assert counts[3] > 100
        assert 10 <= counts[-1] <= 20


def test_counts_follow_zipf():
    assert zipf_counts(3 + 11, 3) == [1 + 6, 1 + 3, 1 + 2]  # beside one row each, 11 rows are spread as 1 : 1/2 : 1/3
    assert zipf_counts(3 + 12, 3) == [1 + 6 + 1, 1 + 3, 1 + 2]
    assert zipf_counts(5, 5) == [1] * 5


def test_another_seed_makes_other_skills_rare(pool):
    assert rare_skills(pool) != rare_skills(make_pool(seed=1))


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match=rf"a pool of 9 rows: there are {len(SKILLS)} skills\. Ask for at least {len(SKILLS)}"):
        make_pool(9)


def test_near_duplicates_are_a_fifth_and_sit_in_common_skills(pool):
    copies = len(pool) - len({text_of(record) for record in pool})
    near = len(pool) - len({bare(record) for record in pool}) - copies
    assert 0.01 < copies / len(pool) < 0.06
    assert 0.15 < near / len(pool) < 0.25
    rare = [record for record in pool if record["skill"] in rare_skills(pool)]
    assert len(rare) - len({bare(record) for record in rare}) <= 0.03 * len(rare)


def test_near_duplicates_keep_the_answer(pool):
    answers = {}
    for record in pool:
        assert answers.setdefault(bare(record), record["output"]) == record["output"]


def test_heldout_is_balanced_and_without_repetition():
    heldout = make_heldout(6, seed=2)
    assert Counter(record["skill"] for record in heldout) == {skill.name: 6 for skill in SKILLS}
    assert len({text_of(record) for record in heldout}) == len(heldout)


@pytest.mark.parametrize(("pool_seed", "heldout_seed"), [(0, 0), (0, 7), (8, 3)])
def test_heldout_shares_no_question_with_the_pool(pool_seed, heldout_seed):
    pool, heldout = make_pool(2000, pool_seed), make_heldout(10, heldout_seed)
    assert not {bare(record) for record in pool} & {bare(record) for record in heldout}
    sums = {
        skill: [{tuple(re.findall(r"\d+", text_of(r))) for r in rows if r["skill"] == skill} for rows in (pool, heldout)]
        for skill in ("add", "half")
    }
    for in_pool, in_heldout in sums.values():
        assert in_heldout
        assert not in_pool & in_heldout  # not the same numbers in other words either


def test_rare_skills_are_the_rarest_third():
    pool = [{"skill": name} for name in "aaabbccccdee"]  # d 1; b, e 2; a 3; c 4
    assert rare_skills(pool) == {"d"}
    assert rare_skills([*pool, {"skill": "f"}, {"skill": "f"}]) == {"d", "b"}


def test_a_skill_that_runs_out_of_questions_repeats_itself_in_other_words():
    coin = Skill(
        "coin", lambda rng: {"side": rng.choice(("heads", "tails"))}, ("Toss.", "Flip it."), "{side}", "It fell on {side}."
    )
    exercises = _distinct(coin, 40, Random(0), is_held_out=coin.exercise(Random(0)).is_held_out)
    said = [exercise.instruction for exercise in exercises]
    assert len(exercises) == 40
    assert said.count("Toss.") == said.count("Flip it.") == 1
    assert "Hello! Toss." in said
