import asyncio
import json
import time

import api_server as server
import pytest

from diverseevol.base.progress import SILENT
from diverseevol.errors import ConfigError, EvaluationError
from diverseevol.evaluation.api import ApiClient, Reply
from diverseevol.evaluation.journal import open_journal
from diverseevol.evaluation.judge_ask import MOST_IN_A_ROW, Asking, Budget, Judge, Tokens
from diverseevol.evaluation.judge_pairs import Judgement
from diverseevol.evaluation.judge_template import load_template

pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")
JUDGE = Judge("judge", load_template("pairwise"), {"temperature": 0, "max_tokens": 50})


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """Judgements asked of a judge at an address: what happened."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)

    def ask(url, n=4, limit=None, concurrency=8, retries=6):
        judgements = [Judgement(i, order, f"Q{i}", None, f"a{i} worth 3", f"b{i} worth 8") for i in range(n) for order in (0, 1)]
        with open_journal(tmp_path / "replies.ndjson", is_synced=True) as journal:
            done = Asking(JUDGE, judgements, journal, Budget(limit, (10_000, 10_000)))
            done.run(ApiClient(url, None, 5.0, retries), concurrency, SILENT)
            return done

    return ask


def texts(done):
    return [done.kept[key].text.split("\n")[0] if key in done.kept else None for key in done.different]


def refused(status, *places, said="no"):
    """A judge that refuses the prompts with one of these texts in them."""

    def respond(asked):
        is_refused = any(place in asked.prompt for place in places)
        return server.Sent(status, json.dumps({"error": {"message": said}})) if is_refused else server.by_worth(asked)

    return respond


def test_each_judgement_once_in_each_order_and_no_more_at_once_than_asked_for(asking):
    with server.serving(delay=0.02) as judge:
        done = asking(judge.url, n=20, concurrency=3)
        assert texts(done) == ["3 8", "8 3"] * 20
        assert set(judge.prompts().values()) == {1}
        assert 2 <= judge.most_at_once <= 3
        again = asking(judge.url, n=20)
        assert len(judge.asked) == 40  # nothing is asked a second time
    assert (again.kept, again.n_replies, again.budget.spent) == (done.kept, 0, done.budget.spent)
    assert done.budget.spent == Tokens(4000, 400)


def test_what_fails_for_good_is_left_over_and_failures_among_good_replies_are_no_row(asking):
    with server.serving(refused(400, *(f"Q{i}\n" for i in range(1, 25, 2)), said="too long")) as judge:
        done = asking(judge.url, n=25, concurrency=1)
        assert len(judge.asked) == 50  # 400 is not tried again
    assert [text is None for text in texts(done)] == [i // 2 % 2 == 1 for i in range(50)]
    assert len(done.failed) == 24 > MOST_IN_A_ROW
    assert all("too long" in text for text in done.failed.values())
    assert done.stopped_by is None


def test_a_hopeless_refusal_stops_at_once_but_what_is_under_way_is_kept(asking):
    def respond(asked):
        time.sleep(0.3 if asked.number else 0.1)
        return server.by_worth(asked) if asked.number else server.Sent(401, '{"error": {"message": "wrong key"}}')

    with server.serving(respond) as judge:
        done = asking(judge.url, n=20, concurrency=4)
        assert len(judge.asked) == 4
    assert "refuses: Error code: 401" in str(done.stopped_by)
    assert len(done.kept) == 3


def test_many_requests_in_a_row_without_scores_stop_the_rest(asking):
    with server.serving(lambda asked: server.Sent(500, "down")) as judge:
        done = asking(judge.url, n=30, concurrency=2, retries=1)
        assert len(judge.asked) <= 2 * (MOST_IN_A_ROW + 1)
    assert "10 requests in a row brought no scores" in str(done.stopped_by)
    body = json.loads(server.completion(""))
    body["choices"][0]["message"] |= {"content": None, "reasoning_content": "Hm."}
    with server.serving(lambda asked: server.Sent(body=json.dumps(body))) as judge:
        done = asking(judge.url, n=30, concurrency=2)
        assert len(judge.asked) <= MOST_IN_A_ROW + 1
    assert "10 requests in a row brought no scores" in str(done.stopped_by)
    assert "unreadable: the reply is thinking alone" in str(done.stopped_by)
    assert texts(done)[0] == "<think>Hm."


def test_a_refused_prompt_is_no_wrong_key(asking):
    with server.serving(refused(403, "Q0\n", said="your input was flagged")) as judge:
        done = asking(judge.url, n=5, concurrency=1)
    assert (done.stopped_by, len(done.kept)) == (None, 10)
    assert [(reply.text, reply.finish, reply.tokens_in) for reply in list(done.kept.values())[:2]] == [
        ("", "content_filter", 0)
    ] * 2
    with server.serving(refused(403, "Q6\n", said="forbidden")) as judge:
        done = asking(judge.url, n=8, concurrency=1)
        assert len(judge.asked) == 6
    assert (done.stopped_by, texts(done)[12:14]) == (None, [None, None])


@pytest.mark.parametrize(
    ("status", "said"), [(402, "refuses: no credit is left: Error code: 402"), (403, "refuses: Error code: 403")]
)
def test_no_credit_and_a_key_that_may_nothing_stop_at_once(asking, status, said):
    with server.serving(refused(status, "Q")) as judge:
        done = asking(judge.url, n=20, concurrency=1)
        assert len(judge.asked) == 1
    assert said in str(done.stopped_by)


def test_the_budget_stops_before_it_is_exceeded_and_a_higher_one_goes_on(asking):
    # A reply is billed 100 + 10 tokens at 0.01 each: 1.10.
    with server.serving() as judge:
        done = asking(judge.url, n=30, limit=40.0, concurrency=4)
        n_paid = sum(judge.paid.values())
        assert "the budget of 40 is used up" in str(done.stopped_by)
        most = 0.01 * (200 + 50 + max(len(asked.prompt.encode()) for asked in judge.asked))
        assert 40.0 - most - 1.1 < 1.1 * n_paid <= 40.0
        again = asking(judge.url, n=30, limit=40.0)
        assert sum(judge.paid.values()) == n_paid  # spent is spent, also in another call
        assert again.n_replies == 0
        assert asking(judge.url, n=30, limit=1000.0).stopped_by is None
        assert sum(judge.paid.values()) == 60
        assert set(judge.paid.values()) == {1}


def test_requests_that_broke_off_count_in_full_against_the_budget(asking):
    with server.serving(lambda asked: server.CUT) as judge:
        for _ in range(2):  # also in the next call
            done = asking(judge.url, n=1, limit=40.0, concurrency=1, retries=1)  # a request is bounded by some 17
            assert "the budget of 40 is used up" in str(done.stopped_by)
            assert len(judge.asked) == 2


def test_what_a_server_does_not_count_is_taken_for_the_most(asking):
    with server.serving(lambda asked: server.Sent(body=server.completion("8 9", usage=False))) as judge:
        done = asking(judge.url, n=1)
        n_bytes = len("".join(message["content"] for message in judge.asked[0].body["messages"]).encode())
    assert {(reply.tokens_in, reply.tokens_out, reply.is_counted) for reply in done.kept.values()} == {(n_bytes + 200, 50, False)}
    assert done.budget.spent == Tokens(2 * (n_bytes + 200), 2 * 50)


def test_the_key_is_of_all_that_the_judge_sees_and_of_nothing_else():
    one = Judgement(1, 0, "Q", "c", "a", "b")
    same = [Judgement(2, 0, "Q", None, "a", "b"), Judgement(1, 1, "Q", "c", "b", "a")]
    other = [Judgement(1, 1, "Q", "c", "a", "b"), Judgement(1, 0, "R", "c", "a", "b"), Judgement(1, 0, "Q", "c", "ab", "")]
    assert {JUDGE.key(each) for each in (one, *same)} == {JUDGE.key(one)}
    others = [Judge("x", JUDGE.template, JUDGE.sampling).key(one), Judge("judge", JUDGE.template, {"seed": 1}).key(one)]
    assert len({JUDGE.key(one), *map(JUDGE.key, other), *others}) == 6


def test_what_is_not_the_users_to_set():
    with pytest.raises(ConfigError, match="the judge's setting stream is not free"):
        Judge("m", JUDGE.template, {"stream": True})


def test_what_is_expected_and_what_is_the_most():
    one = Judgement(1, 0, "Q", None, "ä" * 1000, "b")
    n_bytes = sum(len(message["content"].encode()) for message in JUDGE.template.fill(one))
    assert JUDGE.most_tokens(one) == Tokens(n_bytes + 200, 50)
    assert JUDGE.expected_tokens([one, one], []) == Tokens(2 * n_bytes // 4, 100)  # 200 each, cut at 50
    known = [Reply("", None, None, 1, 10), Reply("", None, None, 1, 30), Reply("", None, None, 1, 99, is_counted=False)]
    assert JUDGE.expected_tokens([one, one], known).n_out == 40
    assert Budget(None, (2, 8)).money(Tokens(1_000_000, 500_000)) == 6


def test_a_request_waits_for_what_those_under_way_really_cost():
    async def work():
        budget = Budget(10, (1_000_000, 0))
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
