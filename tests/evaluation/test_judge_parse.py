import json

import pytest

from diverseevol.evaluation.judge_parse import Unreadable, read_scores

PAIRS = {
    "8 9": (8, 9),
    "8.5 vs 9\nAnswer 2 is better.": (8.5, 9),
    "8.5 vs. 9": (8.5, 9),
    "8, 9": (8, 9),
    "8,9": (8, 9),
    "8 and 9": (8, 9),
    "8 | 9": (8, 9),
    "(8, 9)": (8, 9),
    "[8, 9]": (8, 9),
    "8 9.": (8, 9),
    "10/10 9/10": (10, 9),
    "8/10, 9/10": (8, 9),
    "8 out of 10 and 9 out of 10": (8, 9),
    "Scores: 8 9": (8, 9),
    "Scores:\n8 9": (8, 9),
    "\n\n  \n8 9\n": (8, 9),
    "\ufeff8 9": (8, 9),
    "**8 9**\n\nreasons": (8, 9),
    "**8** **9**": (8, 9),
    "### 8 9": (8, 9),
    "> 8 9": (8, 9),
    "- 8 9": (8, 9),
    "```\n8 9\n```": (8, 9),
    "8\n9\nbecause": (8, 9),
    "8 9\n10 1": (8, 9),
    "8 9\r\nreasons": (8, 9),
    "<think>Surely 10 1.\n10 1</think>\n8 9": (8, 9),
    "Surely 10 1.\n10 1</think>\n\n8 9": (8, 9),
    "</think>8 9\nbecause": (8, 9),
    "[THINK]hm[/THINK]8 9": (8, 9),
    "<thinking>hm</thinking>\n8 9": (8, 9),
    "8 9\nAnswer 1 ends in </think> for no reason.": (8, 9),
    "0 9": (0, 9),
    "Assistant 1: 8, Assistant 2: 9": (8, 9),
    "Assistant 2: 9, Assistant 1: 8": (8, 9),
    "Assistant 1: 8\nAssistant 2: 9": (8, 9),
    "Assistant 2: 9\nAssistant 1: 8": (8, 9),
    "**Assistant 2:** 9/10\n\n**Assistant 1:** 8/10": (8, 9),
    "Answer A: 8; answer B: 9": (8, 9),
    "Score for Answer 1: 8, Score for Answer 2: 9": (8, 9),
    "assistant_1 = 8, assistant_2 = 9": (8, 9),
    "1: 8, 2: 9": (8, 9),
}

NO_PAIRS = {
    '{"score_1": 8, "score_2": 9}': "is not two scores",
    "[8, 9": "is not two scores",
    "": "the reply is empty",
    " \n\n": "the reply is empty",
    "10/10": "'10/10' may be one fraction or two scores",
    "8/9": "'8/9' may be one fraction or two scores",
    "10/10\n9/10": "may be one fraction",
    "8": "is not two scores: '8'",
    "8 9 7": "is not two scores: '8 9 7'",
    "8-9": "is not two scores",
    "8 9 because the first": "is not two scores",
    "8 9)": "is not two scores",
    "Assistant 2 is better.": "is not two scores: 'Assistant 2 is better.'",
    "eight nine": "is not two scores",
    "The answer says:\n10 1": "is not two scores: 'The answer says:'",
    "Answer 1: 8": "is not two scores",
    "Answer 1: 8\n10 1": "is not two scores",
    "Assistant 1: 8, Assistant 1: 9": "answer 1 is scored twice",
    "Assistant 12: 8, Assistant 2: 9": "is not two scores",
    "<think>8 9": "thinking alone, or breaks off inside it",
    "<think>An answer says </think>\n10 1\nhm</think>\n8 9": "ends its thinking more than once",
    "8 9\nAn answer says </think>\n10 1": "scores before and behind </think>",
    "８ ９": "is not two scores",
    "1e1 3": "is not two scores",
    "11 3": "11 is off the scale of 1 to 10",
    "3 10.5": "10.5 is off the scale",
    "0 -5": "-5 is off the scale",
    "-8 9": "-8 is off the scale",
    "8 -9": "-9 is off the scale",
    "8/100 9": "is not two scores",
    "8 " + "x" * 300: "the first line is prose",
}


def pairs(table):
    return [pytest.param(reply, wanted, id=repr(reply[:40])) for reply, wanted in table.items()]


@pytest.mark.parametrize(("reply", "wanted"), pairs(PAIRS))
def test_two_scores(reply, wanted):
    assert read_scores(reply) == wanted


@pytest.mark.parametrize(("reply", "reason"), pairs(NO_PAIRS))
def test_no_two_scores_with_the_reason(reply, reason):
    found = read_scores(reply)
    assert isinstance(found, Unreadable)
    assert reason in found
    assert len(found) < 150


@pytest.mark.parametrize("n", range(3, 6))
def test_more_numbers_than_scores_are_never_chosen_from(n):
    for separator in (" ", ", ", " vs ", "/", "\t"):
        assert isinstance(read_scores(separator.join("5" * n)), Unreadable)


def test_reads_every_published_verdict_as_published(shared_data):
    n = 0
    for file in sorted((shared_data / "verdicts" / "vicuna_test").glob("*/*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            record = json.loads(line)
            assert read_scores(record["response_QUERY0"]) == tuple(record["eval_QUERY0"])
            assert read_scores(record["response_QUERY1"]) == tuple(record["eval_QUERY1"][::-1])  # stored ours first
            n += 2
    assert n == 23 * 80 * 2
