import json
import time

import api_server as server
import pytest

from diverseevol.evaluation.api_client import Reply
from diverseevol.evaluation.judge import asking as module
from diverseevol.evaluation.judge.asking import is_settled
from diverseevol.evaluation.judge.store import Tokens


class Notes:
    """A watch that keeps what is said."""

    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)

    def task(self, name, total, unit):
        from diverseevol.base.progress import SILENT

        return SILENT.task(name, total, unit)


def texts(done):
    return [[reply.text.split("\n")[0] for reply in replies] for replies in done.replies]


def test_each_judgement_once_in_each_order(asking):
    with server.serving() as judge:
        done = asking(judge.url, n=20)
        assert texts(done) == [["3 8"], ["8 3"]] * 20
        assert set(judge.prompts().values()) == {1}
        assert len(judge.asked) == 40
        again = asking(judge.url, n=20)
        assert len(judge.asked) == 40  # nothing is asked a second time
    assert again.replies == done.replies
    assert again.asked.n_replies == 0


def test_no_more_at_once_than_asked_for(asking):
    with server.serving(delay=0.05) as judge:
        asking(judge.url, n=8, concurrency=3)
        assert 2 <= judge.most_at_once <= 3


def test_no_more_a_minute_than_asked_for(asking):
    started = time.monotonic()
    with server.serving() as judge:
        asking(judge.url, n=4, per_minute=60 / 0.04)
        assert len(judge.times) == 8
        assert judge.times[-1] - started >= 7 * 0.04


def faults(*answers):
    """Answer the first requests for each prompt so, the rest well."""

    def respond(asked):
        return answers[asked.again] if asked.again < len(answers) else server.by_worth(asked)

    return respond


def test_passing_failures_are_tried_again(asking):
    failures = (
        server.Sent(500, "oops"),
        server.Sent(429, "{}", {"Retry-After": "0"}),
        server.CUT,
        server.Sent(body='{"choices": [{"mess'),
        server.Sent(body=server.completion("1 1"), cut_at=30),
    )
    with server.serving(faults(*failures)) as judge:
        done = asking(judge.url, n=2, retries=5)
        assert set(judge.prompts().values()) == {6}
    assert texts(done) == [["3 8"], ["8 3"]] * 2
    assert done.asked.failed == {}
    # Three of the five may have cost something: the bound is kept for each.
    assert done.broken_off.n_out == 4 * 3 * 50


def test_a_time_out_is_tried_again(asking):
    with server.serving(faults(server.HANG)) as judge:
        assert texts(asking(judge.url, n=1, timeout=0.3)) == [["3 8"], ["8 3"]]


def test_retry_after_holds_all_requests(asking):
    def respond(asked):
        return server.Sent(429, "{}", {"Retry-After": "1"}) if asked.number == 0 else server.by_worth(asked)

    with server.serving(respond, delay=0.02) as judge:
        asking(judge.url, n=10, concurrency=3)
        assert len(judge.asked) == 21
        assert sum(sent < judge.times[0] + 0.95 for sent in judge.times) <= 6  # only what was under way, not the other 18


def test_a_wait_that_is_too_long_stops_and_says_so(asking):
    with server.serving(lambda asked: server.Sent(429, '{"error": {"message": "slow down"}}', {"Retry-After": "7200"})) as judge:
        done = asking(judge.url, concurrency=1)
        assert len(judge.asked) == 1
    assert "asks to wait 2 h 00 min" in str(done.asked.stopped_by)
    assert "slow down" in str(done.asked.stopped_by)


def test_waits_grow_and_the_first_is_noted(asking):
    notes = Notes()
    with server.serving(faults(*[server.Sent(500, '{"error": {"message": "oops"}}')] * 3)) as judge:
        asking(judge.url, n=1, concurrency=1, first_wait=0.1, retries=3, watch=notes)
        gaps = [later - earlier for earlier, later in zip(judge.times[:4], judge.times[1:4], strict=False)]
    assert gaps[0] >= 0.075
    assert gaps[1] >= 0.15
    assert gaps[2] >= 0.3
    assert len(notes.said) == 1
    assert "oops" in notes.said[0]
    assert "trying again after 0.1 s" in notes.said[0]


def test_what_fails_for_good_is_left_over_and_the_rest_goes_on(asking):
    def respond(asked):
        return server.Sent(400, '{"error": {"message": "too long"}}') if "Q1" in asked.prompt else server.by_worth(asked)

    with server.serving(respond) as judge:
        done = asking(judge.url, n=4)
        assert len(judge.asked) == 8  # 400 is not tried again
    assert [len(replies) for replies in done.replies] == [1, 1, 0, 0, 1, 1, 1, 1]
    assert len(done.asked.failed) == 2
    assert all("too long" in text for text in done.asked.failed.values())
    assert done.asked.stopped_by is None


def test_failures_among_good_replies_are_no_row(asking):
    def respond(asked):
        return server.Sent(400) if any(f"Q{i}\n" in asked.prompt for i in range(1, 25, 2)) else server.by_worth(asked)

    with server.serving(respond) as judge:
        done = asking(judge.url, n=25, concurrency=1)
    assert len(done.asked.failed) == 24 > module.MOST_IN_A_ROW
    assert done.asked.stopped_by is None


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
    assert "refuses: Error code: 401" in str(done.asked.stopped_by)
    assert sum(len(replies) for replies in done.replies) == 3


def test_many_failures_in_a_row_stop_the_rest(asking):
    with server.serving(lambda asked: server.Sent(500, "down")) as judge:
        done = asking(judge.url, n=30, concurrency=2, retries=1)
        assert len(judge.asked) <= 2 * (module.MOST_IN_A_ROW + 1)
    assert "10 requests in a row brought no scores" in str(done.asked.stopped_by)


def test_a_judge_that_never_says_scores_is_given_up(asking):
    body = json.loads(server.completion(""))
    body["choices"][0]["message"] |= {"content": None, "reasoning_content": "Hm."}
    with server.serving(lambda asked: server.Sent(body=json.dumps(body))) as judge:
        done = asking(judge.url, n=30, concurrency=2)
        assert len(judge.asked) <= module.MOST_IN_A_ROW + 1
    assert "10 requests in a row brought no scores" in str(done.asked.stopped_by)
    assert "unreadable: the reply is thinking alone" in str(done.asked.stopped_by)
    assert done.replies[0][0].text == "<think>Hm."


def test_a_refused_prompt_is_no_wrong_key(asking):
    flagged = '{"error": {"code": 403, "message": "requires moderation and your input was flagged"}}'

    def respond(asked):
        if "Q0\n" in asked.prompt:
            return server.Sent(403, flagged)
        if "Q3\n" in asked.prompt and asked.number > 4:
            return server.Sent(403, '{"error": {"message": "forbidden"}}')
        return server.by_worth(asked)

    with server.serving(respond) as judge:
        done = asking(judge.url, n=5, concurrency=1, attempts=2)
        assert len(judge.asked) == 10 + 2  # the flagged ones twice
    assert done.asked.stopped_by is None
    assert [(reply.text, reply.finish, reply.tokens_in) for reply in done.replies[0]] == [("", "content_filter", 0)] * 2
    assert [len(replies) for replies in done.replies[6:8]] == [0, 0]
    assert all("forbidden" in text for text in done.asked.failed.values())


@pytest.mark.parametrize(
    ("status", "said"), [(402, "refuses: no credit is left: Error code: 402"), (403, "refuses: Error code: 403")]
)
def test_no_credit_and_a_key_that_may_nothing_stop_at_once(asking, status, said):
    with server.serving(lambda asked: server.Sent(status, '{"error": {"message": "no"}}')) as judge:
        done = asking(judge.url, n=20, concurrency=1)
        assert len(judge.asked) == 1
    assert said in str(done.asked.stopped_by)


def test_an_unreadable_verdict_is_asked_again_so_many_times_and_then_kept(asking):
    def respond(asked):
        if "Q0" in asked.prompt:
            return ["Answer 1 is better.", "10/10", server.by_worth(asked)][asked.again]
        return f"no verdict {asked.again}" if "Q1" in asked.prompt else server.by_worth(asked)

    with server.serving(respond) as judge:
        done = asking(judge.url, n=3, attempts=3)
        assert len(judge.asked) == 2 * (3 + 3 + 1)
        assert texts(done)[0] == ["Answer 1 is better.", "10/10", "3 8"]
        assert texts(done)[1] == ["Answer 1 is better.", "10/10", "8 3"]
        assert texts(done)[2] == ["no verdict 0", "no verdict 1", "no verdict 2"]
        asking(judge.url, n=3, attempts=3)
        assert len(judge.asked) == 14  # kept: neither asked nor paid for again
        asking(judge.url, n=3, attempts=4)
        assert len(judge.asked) == 16  # unless more attempts are asked for
    assert {asked.headers["idempotency-key"].rpartition("-")[2] for asked in judge.asked if "Q1" in asked.prompt} == {
        "0",
        "1",
        "2",
        "3",
    }


def test_settled_means_readable_or_asked_often_enough(asking):
    with server.serving() as judge:
        done = asking(judge.url, n=1)
    good, bad = Reply("8 9", None, None, 1, 1), Reply("hm", None, None, 1, 1)
    assert not is_settled([], done.judge, 2)
    assert not is_settled([bad], done.judge, 2)
    assert is_settled([bad, bad], done.judge, 2)
    assert is_settled([bad, good], done.judge, 9)


def test_the_budget_stops_before_it_is_exceeded_and_a_higher_one_goes_on(asking):
    # A reply is billed 100 + 10 tokens at 0.01 each: 1.10.
    with server.serving() as judge:
        done = asking(judge.url, n=30, limit=40.0, concurrency=4)
        n_paid = sum(judge.paid.values())
        spent = 1.1 * n_paid
        assert "the budget of 40 is used up" in str(done.asked.stopped_by)
        assert spent <= 40.0
        most = 0.01 * (200 + 50 + max(len(asked.prompt.encode()) for asked in judge.asked))
        assert spent > 40.0 - most - 1.1
        again = asking(judge.url, n=30, limit=40.0)
        assert sum(judge.paid.values()) == n_paid  # spent is spent, also in another call
        assert again.asked.n_replies == 0
        rest = asking(judge.url, n=30, limit=1000.0)
        assert rest.asked.stopped_by is None
        assert sum(judge.paid.values()) == 60
        assert set(judge.paid.values()) == {1}


def test_a_request_that_broke_off_counts_in_full_against_the_budget(asking):
    with server.serving(faults(server.CUT)) as judge:
        for _ in range(2):  # also in the next call
            done = asking(judge.url, n=1, limit=20.0, concurrency=1)  # bounded by some 17
            assert "the budget of 20 is used up" in str(done.asked.stopped_by)
            assert len(judge.asked) == 1


def test_what_a_server_does_not_count_is_taken_for_the_most(asking):
    with server.serving(lambda asked: server.Sent(body=server.completion("8 9", usage=False))) as judge:
        done = asking(judge.url, n=1)
        n_bytes = len("".join(message["content"] for message in judge.asked[0].body["messages"]).encode())
    assert [(reply.tokens_in, reply.tokens_out, reply.is_counted) for reply in done.replies[0]] == [(n_bytes + 200, 50, False)]
    assert done.broken_off == Tokens()


def test_nothing_to_ask_asks_nobody(asking):
    assert asking("http://127.0.0.1:9/v1", n=0).asked.n_replies == 0


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
