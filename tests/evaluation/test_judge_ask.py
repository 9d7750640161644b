import asyncio
import json
import time
from collections import deque

import api_server as server
import pytest

from diverseevol.base.progress import SILENT
from diverseevol.errors import ConfigError, EvaluationError
from diverseevol.evaluation import judge_ask as module
from diverseevol.evaluation.api import ApiClient, Reply
from diverseevol.evaluation.journal import open_journal
from diverseevol.evaluation.judge_ask import (
    Asking,
    Budget,
    Judge,
    Limits,
    Prices,
    Replies,
    Tokens,
    by_key,
    expected_tokens,
    most_tokens,
)
from diverseevol.evaluation.judge_pairs import Judgement
from diverseevol.evaluation.judge_template import load_template

pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")
JUDGE = Judge("judge", load_template("pairwise"), {"temperature": 0, "max_tokens": 50})


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """Judgements asked of a judge at an address: what happened, the replies kept for each, and all that they took."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)

    def ask(url, n=4, limit=None, **limits):
        limits = Limits(**{"timeout": 5.0, **limits})
        judgements = [Judgement(i, order, f"Q{i}", None, f"a{i} worth 3", f"b{i} worth 8") for i in range(n) for order in (0, 1)]
        different = by_key(JUDGE, judgements)
        with open_journal(tmp_path / "replies.ndjson", is_synced=True) as journal:
            replies = Replies(journal)
            kept = replies.of(different)
            queue = deque((key, each) for key, each in different.items() if key not in kept)
            budget = Budget(limit, Prices(10_000, 10_000) if limit is not None else None, replies.spent(different))
            done = Asking(JUDGE, ApiClient(url, None, limits.timeout, limits.retries), queue, replies, budget)
            done.run(limits.concurrency, SILENT)
            done.kept, done.spent = [replies.of(different).get(key) for key in different], replies.spent(different)
            return done

    return ask


def texts(done):
    return [reply and reply.text.split("\n")[0] for reply in done.kept]


def test_each_judgement_once_in_each_order(asking):
    with server.serving() as judge:
        done = asking(judge.url, n=20)
        assert texts(done) == ["3 8", "8 3"] * 20
        assert set(judge.prompts().values()) == {1}
        assert len(judge.asked) == 40
        again = asking(judge.url, n=20)
        assert len(judge.asked) == 40  # nothing is asked a second time
    assert again.kept == done.kept
    assert again.n_replies == 0


def test_no_more_at_once_than_asked_for(asking):
    with server.serving(delay=0.05) as judge:
        asking(judge.url, n=8, concurrency=3)
        assert 2 <= judge.most_at_once <= 3


def faults(*answers):
    """Answer the first requests for each prompt so, the rest well."""

    def respond(asked):
        return answers[asked.again] if asked.again < len(answers) else server.by_worth(asked)

    return respond


def test_what_fails_for_good_is_left_over_and_the_rest_goes_on(asking):
    def respond(asked):
        return server.Sent(400, '{"error": {"message": "too long"}}') if "Q1" in asked.prompt else server.by_worth(asked)

    with server.serving(respond) as judge:
        done = asking(judge.url, n=4)
        assert len(judge.asked) == 8  # 400 is not tried again
    assert [reply is not None for reply in done.kept] == [True, True, False, False, True, True, True, True]
    assert len(done.failed) == 2
    assert all("too long" in text for text in done.failed.values())
    assert done.stopped_by is None


def test_failures_among_good_replies_are_no_row(asking):
    def respond(asked):
        return server.Sent(400) if any(f"Q{i}\n" in asked.prompt for i in range(1, 25, 2)) else server.by_worth(asked)

    with server.serving(respond) as judge:
        done = asking(judge.url, n=25, concurrency=1)
    assert len(done.failed) == 24 > module.MOST_IN_A_ROW
    assert done.stopped_by is None


def test_a_hopeless_refusal_stops_at_once_but_what_is_under_way_is_kept(asking):
    def respond(asked):
        if asked.number == 0:
            time.sleep(0.1)
            return server.Sent(401, '{"error": {"message": "wrong key"}}')
        time.sleep(0.3)
        return server.by_worth(asked)

    with server.serving(respond) as judge:
        done = asking(judge.url, n=20, concurrency=4)
        assert len(judge.asked) == 4
    assert "refuses: Error code: 401" in str(done.stopped_by)
    assert sum(reply is not None for reply in done.kept) == 3


def test_many_failures_in_a_row_stop_the_rest(asking):
    with server.serving(lambda asked: server.Sent(500, "down")) as judge:
        done = asking(judge.url, n=30, concurrency=2, retries=1)
        assert len(judge.asked) <= 2 * (module.MOST_IN_A_ROW + 1)
    assert "10 requests in a row brought no scores" in str(done.stopped_by)


def test_a_judge_that_never_says_scores_is_given_up(asking):
    body = json.loads(server.completion(""))
    body["choices"][0]["message"] |= {"content": None, "reasoning_content": "Hm."}
    with server.serving(lambda asked: server.Sent(body=json.dumps(body))) as judge:
        done = asking(judge.url, n=30, concurrency=2)
        assert len(judge.asked) <= module.MOST_IN_A_ROW + 1
    assert "10 requests in a row brought no scores" in str(done.stopped_by)
    assert "unreadable: the reply is thinking alone" in str(done.stopped_by)
    assert done.kept[0].text == "<think>Hm."


def test_a_refused_prompt_is_no_wrong_key(asking):
    flagged = '{"error": {"code": 403, "message": "requires moderation and your input was flagged"}}'

    def respond(asked):
        if "Q0\n" in asked.prompt:
            return server.Sent(403, flagged)
        if "Q3\n" in asked.prompt and asked.number > 4:
            return server.Sent(403, '{"error": {"message": "forbidden"}}')
        return server.by_worth(asked)

    with server.serving(respond) as judge:
        done = asking(judge.url, n=5, concurrency=1)
        assert len(judge.asked) == 10
    assert done.stopped_by is None
    assert [(reply.text, reply.finish, reply.tokens_in) for reply in done.kept[:2]] == [("", "content_filter", 0)] * 2
    assert done.kept[6:8] == [None, None]
    assert all("forbidden" in text for text in done.failed.values())


@pytest.mark.parametrize(
    ("status", "said"), [(402, "refuses: no credit is left: Error code: 402"), (403, "refuses: Error code: 403")]
)
def test_no_credit_and_a_key_that_may_nothing_stop_at_once(asking, status, said):
    with server.serving(lambda asked: server.Sent(status, '{"error": {"message": "no"}}')) as judge:
        done = asking(judge.url, n=20, concurrency=1)
        assert len(judge.asked) == 1
    assert said in str(done.stopped_by)


def test_the_budget_stops_before_it_is_exceeded_and_a_higher_one_goes_on(asking):
    # A reply is billed 100 + 10 tokens at 0.01 each: 1.10.
    with server.serving() as judge:
        done = asking(judge.url, n=30, limit=40.0, concurrency=4)
        n_paid = sum(judge.paid.values())
        spent = 1.1 * n_paid
        assert "the budget of 40 is used up" in str(done.stopped_by)
        assert spent <= 40.0
        most = 0.01 * (200 + 50 + max(len(asked.prompt.encode()) for asked in judge.asked))
        assert spent > 40.0 - most - 1.1
        again = asking(judge.url, n=30, limit=40.0)
        assert sum(judge.paid.values()) == n_paid  # spent is spent, also in another call
        assert again.n_replies == 0
        rest = asking(judge.url, n=30, limit=1000.0)
        assert rest.stopped_by is None
        assert sum(judge.paid.values()) == 60
        assert set(judge.paid.values()) == {1}


def test_requests_that_broke_off_count_in_full_against_the_budget(asking):
    with server.serving(faults(server.CUT, server.CUT)) as judge:
        for _ in range(2):  # also in the next call
            done = asking(judge.url, n=1, limit=40.0, concurrency=1, retries=1)  # a request is bounded by some 17
            assert "the budget of 40 is used up" in str(done.stopped_by)
            assert len(judge.asked) == 2


def test_what_a_server_does_not_count_is_taken_for_the_most(asking):
    with server.serving(lambda asked: server.Sent(body=server.completion("8 9", usage=False))) as judge:
        done = asking(judge.url, n=1)
        n_bytes = len("".join(message["content"] for message in judge.asked[0].body["messages"]).encode())
    assert [(reply.tokens_in, reply.tokens_out, reply.is_counted) for reply in done.kept[:1]] == [(n_bytes + 200, 50, False)]
    assert done.spent == Tokens(2 * (n_bytes + 200), 2 * 50)


@pytest.mark.parametrize("n", [1, 5])
def test_the_prompt_holds_both_answers_in_the_order_shown(asking, n):
    with server.serving() as judge:
        asking(judge.url, n=n)
        for asked in judge.asked:
            places = [
                asked.prompt.index(f"{side}{i} worth") for i in range(n) for side in "ab" if f"{side}{i} worth" in asked.prompt
            ]
            assert len(places) == 2
    assert json.dumps(judge.asked[0].body["messages"]).count("worth") == 2


def test_the_key_is_of_all_that_the_judge_sees_and_of_nothing_else():
    one = Judgement(1, 0, "Q", "c", "a", "b")
    same = [Judgement(2, 0, "Q", None, "a", "b"), Judgement(1, 1, "Q", "c", "b", "a")]
    other = [Judgement(1, 1, "Q", "c", "a", "b"), Judgement(1, 0, "R", "c", "a", "b"), Judgement(1, 0, "Q", "c", "ab", "")]
    assert {JUDGE.key(each) for each in (one, *same)} == {JUDGE.key(one)}
    others = [Judge("x", JUDGE.template, JUDGE.sampling).key(one), Judge("judge", JUDGE.template, {"seed": 1}).key(one)]
    assert len({JUDGE.key(one), *map(JUDGE.key, other), *others}) == 6
    assert list(by_key(JUDGE, [one, *same]).values()) == [one]


def test_what_is_not_the_users_to_set():
    with pytest.raises(ConfigError, match="the judge's setting stream is not free"):
        Judge("m", JUDGE.template, {"stream": True})


def test_what_is_expected_and_what_is_the_most():
    one = Judgement(1, 0, "Q", None, "ä" * 1000, "b")
    n_bytes = sum(len(message["content"].encode()) for message in JUDGE.template.fill(one))
    assert most_tokens(JUDGE, one) == Tokens(n_bytes + 200, 50)
    assert expected_tokens(JUDGE, [one, one], []) == Tokens(2 * n_bytes // 4, 100)  # 200 each, cut at 50
    known = [Reply("", None, None, 1, 10), Reply("", None, None, 1, 30), Reply("", None, None, 1, 99, is_counted=False)]
    assert expected_tokens(JUDGE, [one, one], known).n_out == 40
    assert Prices(2, 8).of(Tokens(1_000_000, 500_000)) == 6


def test_a_request_waits_for_what_those_under_way_really_cost():
    async def work():
        budget = Budget(10, Prices(1_000_000, 0), Tokens())
        await budget.reserve(Tokens(6, 0))
        second = asyncio.create_task(budget.reserve(Tokens(6, 0)))
        await asyncio.sleep(0.1)
        assert not second.done()
        budget.settle(Tokens(6, 0), Tokens(1, 0))
        await second
        budget.settle(Tokens(6, 0), Tokens(4, 0))
        with pytest.raises(EvaluationError, match=r"the budget of 10 is used up: 5\.0000 spent, .* may cost 6\.0000"):
            await budget.reserve(Tokens(6, 0))

    asyncio.run(work())
