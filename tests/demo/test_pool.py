import hashlib
import importlib.util
import json
import random
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from diverseevol.demo.model import lines
from diverseevol.demo.pool import SKILLS, Skill, _distinct, make_heldout, make_pool, rare_skills, zipf_counts

_spec = importlib.util.spec_from_file_location("demo_oracles", Path(__file__).with_name("oracles.py"))
oracles = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracles)


@pytest.fixture(scope="module")
def pool():
    return make_pool()


def text_of(record):
    return json.dumps([record["instruction"], record["input"], record.get("history")])


def bare(record):
    """The text without what a rewording may have put around the question."""
    said = re.sub(r"^(Please help me\. |Hello! |Question: )|( Thank you\.)$", "", record["instruction"]).strip().rstrip(".?")
    return json.dumps([said, record["input"], record.get("history")])


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
def test_answers_match_a_second_computation_in_every_wording(skill):
    rng = Random(5)
    exercises = [skill.exercise(rng) for _ in range(200)]
    assert {bool(exercise.record["input"]) for exercise in exercises} == {" | " in text for text in skill.wordings}
    for record, statement in ((exercise.record, exercise.statement) for exercise in exercises):
        assert set(record) - {"history"} == {"instruction", "input", "output", "skill"}
        if answer := oracles.ORACLES.get(skill.name):
            assert record["output"] == answer(record), record
        texts = [record["instruction"], record["output"], statement]
        texts += [text for pair in record.get("history", []) for text in pair]
        assert all(texts)
        assert not any(mark in text for text in [*texts, record["input"]] for mark in "{}|")


def test_the_bytes_follow_from_the_seed(pool):
    def digest(made):
        return hashlib.sha256(made.encode()).hexdigest()[:16]

    state = random.getstate()
    # Whoever changes these texts makes another pool and another model: the figures of the docs are then of the old ones.
    assert digest(json.dumps(pool)) == "281976cddfd8495d"
    assert digest("\n".join(islice(lines(0), 5000))) == "c6aa2da35eedb22b"
    assert make_pool() == pool != make_pool(seed=1)
    assert make_heldout(3, seed=4) == make_heldout(3, seed=4) != make_heldout(3, seed=5)
    assert random.getstate() == state


@pytest.mark.parametrize("n_rows", [len(SKILLS), 777, 3000])
def test_the_mix_has_a_long_tail_and_every_skill(n_rows):
    counts = sorted(Counter(record["skill"] for record in make_pool(n_rows, seed=3)).values(), reverse=True)
    assert (sum(counts), len(counts)) == (n_rows, len({skill.name for skill in SKILLS}))
    if n_rows == 3000:
        assert counts[0] > 500 and counts[3] > 100 and 10 <= counts[-1] <= 20


def test_counts_follow_zipf():
    assert zipf_counts(3 + 11, 3) == [1 + 6, 1 + 3, 1 + 2]  # beside one row each, 11 rows are spread as 1 : 1/2 : 1/3
    assert zipf_counts(3 + 12, 3) == [1 + 6 + 1, 1 + 3, 1 + 2]
    assert zipf_counts(5, 5) == [1] * 5


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match=rf"cannot make 9 rows of {len(SKILLS)} skills: ask for {len(SKILLS)} rows or more"):
        make_pool(9)


def test_near_duplicates_are_a_fifth_sit_in_common_skills_and_keep_the_answer(pool):
    copies = len(pool) - len({text_of(record) for record in pool})
    near = len(pool) - len({bare(record) for record in pool}) - copies
    assert 0.01 < copies / len(pool) < 0.06
    assert 0.15 < near / len(pool) < 0.25
    rare = [record for record in pool if record["skill"] in rare_skills(pool)]
    assert len(rare) - len({bare(record) for record in rare}) <= 0.03 * len(rare)
    assert len({bare(record) + record["output"] for record in pool}) == len({bare(record) for record in pool})


def test_heldout_is_balanced_without_repetition_and_shares_no_question_with_a_pool():
    pool, heldout = make_pool(2000, seed=8), make_heldout(10, seed=3)
    assert Counter(record["skill"] for record in heldout) == {skill.name: 10 for skill in SKILLS}
    assert len({text_of(record) for record in heldout}) == len(heldout)
    assert not {bare(record) for record in pool} & {bare(record) for record in heldout}
    for skill in ("add", "half"):  # not the same numbers in other words either
        sides = [{tuple(re.findall(r"\d+", text_of(r))) for r in rows if r["skill"] == skill} for rows in (pool, heldout)]
        assert sides[1] and not sides[0] & sides[1]


def test_rare_skills_are_the_rarest_third(pool):
    few = [{"skill": name} for name in "aaabbccccdee"]  # d 1; b, e 2; a 3; c 4
    assert rare_skills(few) == {"d"}
    assert rare_skills([*few, {"skill": "f"}, {"skill": "f"}]) == {"d", "b"}
    assert rare_skills(pool) != rare_skills(make_pool(seed=1))


def test_a_skill_that_runs_out_of_questions_repeats_itself_in_other_words():
    coin = Skill("coin", {"side": "heads"}, ("Toss.", "Flip it."), "{side}", "It fell on {side}.")
    is_held_out = coin.exercise(Random(0)).is_held_out
    said = [record["instruction"] for record in _distinct(coin, 40, Random(0), is_held_out)]
    assert len(said) == 40
    assert said.count("Toss.") == said.count("Flip it.") == 1
    assert "Hello! Toss." in said
