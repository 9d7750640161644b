import importlib.util
from pathlib import Path
from random import Random

import pytest

from diverseevol.demo.skills import SKILLS, check

_spec = importlib.util.spec_from_file_location("demo_oracles", Path(__file__).with_name("oracles.py"))
oracles = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracles)

skills = pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)


def drawn(skill, n=200, seed=5):
    rng = Random(seed)
    return [skill.exercise(rng) for _ in range(n)]


def test_names_are_unique_and_every_skill_has_an_oracle():
    assert len(SKILLS) >= 25
    assert {skill.name for skill in SKILLS} == set(oracles.ORACLES)
    assert len({skill.name for skill in SKILLS}) == len(SKILLS)


@skills
def test_answers_match_a_second_computation(skill):
    for exercise in drawn(skill):
        record = exercise.record()
        assert record["output"] == oracles.ORACLES[skill.name](record), record


@skills
def test_every_wording_is_used_and_nothing_is_left_unfilled(skill):
    exercises = drawn(skill)
    assert len(skill.wordings) >= 3
    assert {bool(exercise.input) for exercise in exercises} == {" | " in wording for wording in skill.wordings}
    for exercise in exercises:
        texts = [exercise.instruction, exercise.output, exercise.statement, *(text for pair in exercise.history for text in pair)]
        assert all(texts)
        assert not any(mark in text for text in [*texts, exercise.input] for mark in "{}|")


@skills
def test_the_same_seed_gives_the_same_exercises(skill):
    assert drawn(skill) == drawn(skill)
    assert drawn(skill) != drawn(skill, seed=6)


@skills
def test_the_side_follows_the_content_not_the_wording(skill):
    exercises = drawn(skill, 400)
    side = {}
    for exercise in exercises:
        assert side.setdefault(exercise.content, exercise.is_held_out) == exercise.is_held_out
    assert 0.02 < sum(side.values()) / len(side) < 0.5


def test_equal_content_means_equal_answer():
    for skill in SKILLS:
        answers = {}
        for exercise in drawn(skill):
            assert answers.setdefault(exercise.content, exercise.output) == exercise.output


def test_history_is_a_list_of_pairs_and_only_there_where_there_is_one():
    records = {skill.name: drawn(skill, 1)[0].record() for skill in SKILLS}
    multi_turn = {name for name, record in records.items() if "history" in record}
    assert multi_turn == {"follow_up_sum", "recall_name", "shopping_list", "recall_place"}
    assert [len(pair) for pair in records["shopping_list"]["history"]] == [2, 2]
    assert list(records["add"]) == ["instruction", "input", "output", "skill"]


def test_check_accepts_the_answer_alone():
    record = {"output": "8 is even."}
    assert check(record, " 8 is even\n")
    assert check(record, "8 is even.")
    assert not check(record, "8 is Even.")
    assert not check(record, "8 is even. 9 is odd.")
    assert not check(record, "")
