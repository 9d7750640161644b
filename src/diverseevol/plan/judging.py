"""What a judge would take: questions × two orders × tokens.

Answers are taken to be as long as the pool's responses, questions as the rest of its rows, and a reply as in evaluation/judge/cost.py, where
the verb `judge` estimates it again from the texts themselves. Money only where prices are given, for a table of prices would soon be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from ..benchmarks import KNOWN
from ..errors import ConfigError
from ..evaluation.judge.cost import BYTES_A_TOKEN, TYPICAL_REPLY, Prices
from ..evaluation.judge.store import Tokens
from .facts import Lengths

ORDERS = 2


@dataclass(frozen=True, slots=True)
class Judging:
    """The bill of judging one round's answers."""

    n_questions: int
    n_judgements: int
    tokens_in: int
    tokens_out: int
    money: float | None


def judging(benchmarks: Sequence[str], lengths: Lengths, prices: Prices | None) -> Judging:
    """The bill of one round's answers to these benchmarks, each pair judged in both orders.

    Raises:
        ConfigError: a benchmark's number of questions is not known.
    """
    unknown = [name for name in benchmarks if name not in KNOWN]
    if unknown:
        raise ConfigError(f"--benchmark {unknown[0]!r} is not known. Known: {', '.join(KNOWN)}.")
    n_questions = sum(KNOWN[name].n_questions for name in benchmarks)
    n_judgements = ORDERS * n_questions
    template = files("diverseevol.evaluation.judge").joinpath("templates/pairwise.txt").read_bytes()
    per_judgement = len(template) / BYTES_A_TOKEN + lengths.mean + lengths.mean_trained  # a question and two answers
    tokens = Tokens(round(per_judgement * n_judgements), TYPICAL_REPLY * n_judgements)
    return Judging(n_questions, n_judgements, tokens.n_in, tokens.n_out, prices.of(tokens) if prices else None)
