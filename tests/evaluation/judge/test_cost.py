import asyncio

import pytest

from diverseevol.errors import EvaluationError
from diverseevol.evaluation.api_client import Reply
from diverseevol.evaluation.judge.cost import Budget, Prices, expected_tokens, most_tokens
from diverseevol.evaluation.judge.pairs import Judgement
from diverseevol.evaluation.judge.request import Judge
from diverseevol.evaluation.judge.store import Tokens
from diverseevol.evaluation.judge.template import Template

JUDGE = Judge("m", Template("t", "{question}{answer_1}", (("user", "{question}{answer_1}"),)), {"max_tokens": 300})
PRICES = Prices(2.0, 8.0)


def judgement(text):
    return Judgement(1, None, "Q", None, text)


def test_money_is_tokens_times_price():
    assert PRICES.of(Tokens(1_000_000, 500_000)) == 6.0
    assert PRICES.of(Tokens()) == 0.0


def test_the_bound_counts_bytes_and_the_longest_reply():
    short, long = most_tokens(JUDGE, judgement("a")), most_tokens(JUDGE, judgement("a" + "é" * 1000))
    assert long.n_in - short.n_in == 2000
    assert short.n_in > 200
    assert (short.n_out, most_tokens(Judge("m", JUDGE.template, {}), judgement("a")).n_out) == (300, 0)


def test_the_estimate_takes_known_replies_where_there_are_any():
    judgements = [judgement("a" * 4000), judgement("b" * 4000)]
    first = expected_tokens(JUDGE, judgements, [])
    assert 2000 < first.n_in < 2200
    assert first.n_out == 2 * 200
    known = [Reply("", None, None, 1, 40), Reply("", None, None, 1, 60), Reply("", None, None, 1, 999, is_counted=False)]
    assert expected_tokens(JUDGE, judgements, known).n_out == 2 * 50
    assert expected_tokens(Judge("m", JUDGE.template, {"max_tokens": 20}), judgements, known).n_out == 2 * 20


def test_a_request_whose_highest_cost_is_no_longer_there_is_not_sent():
    async def spend():
        budget = Budget(10.0, Prices(1e6, 1e6), Tokens(5, 0))
        reserved = await budget.reserve(Tokens(3, 2))  # 5 + 5: exactly all
        await budget.settle(reserved, Tokens(3, 2), Tokens(1, 1))
        assert budget.spent == Tokens(6, 1)
        reserved = await budget.reserve(Tokens(3, 0))
        await budget.settle(reserved, Tokens(3, 0), Tokens(1, 0))
        with pytest.raises(
            EvaluationError, match=r"the budget of 10 is used up: 8.0000 spent, and the next request may cost 3.0000"
        ):
            await budget.reserve(Tokens(3, 0))

    asyncio.run(spend())


def test_the_next_request_waits_for_those_under_way():
    async def spend():
        budget = Budget(10.0, Prices(1e6, 1e6), Tokens())
        reserved = await budget.reserve(Tokens(6, 0))
        waiting = asyncio.create_task(budget.reserve(Tokens(6, 0)))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await budget.settle(reserved, Tokens(6, 0), Tokens(4, 0))
        assert await asyncio.wait_for(waiting, 5) == 6.0

    asyncio.run(spend())


def test_a_server_that_bills_more_than_the_bound_is_believed():
    async def spend():
        budget = Budget(10.0, Prices(1e6, 1e6), Tokens())
        await budget.settle(await budget.reserve(Tokens(2, 0)), Tokens(2, 0), Tokens(4, 0))
        assert await budget.reserve(Tokens(2, 0)) == 4.0
        with pytest.raises(EvaluationError):
            await asyncio.wait_for(_both(budget), 1)

    async def _both(budget):
        await budget.settle(4.0, Tokens(2, 0), Tokens(4, 0))
        await budget.reserve(Tokens(2, 0))

    asyncio.run(spend())


def test_no_budget_no_bound():
    async def spend():
        budget = Budget(None, None, Tokens())
        for _ in range(3):
            assert await budget.reserve(Tokens(10**9, 10**9)) == 0.0

    asyncio.run(spend())
