"""Answering in batches against one prompt at a time with the library's generate, both greedy, on the same model and prompts.

    python benchmarks/answer.py [--prompts N] [--slow-prompts N] [--new-tokens N] [--batch-size N ...] [--rounds N] [--questions N]
                                [--only llama|tinystories] [--per-core]

Prints tokens a second of both, the ratio, and how many of the answers are the same. The Llama of width 512 with 8 layers has random weights
and never ends by itself, so every row takes part until the end; the prompts are random tokens, 60 to 250 of them. The TinyStories model
(where ../shared/data is there) answers the Vicuna questions until it ends or its 512 tokens are full. Both sides take turns, and each
side's best round counts. --per-core is for a machine that is busy elsewhere: one thread, and processor seconds.
"""

import argparse
import json
from collections.abc import Callable

import diverseevol  # noqa: F401 - before torch, whose OpenMP reads how to wait when it is loaded

# isort: split
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from diverseevol.config import PromptConfig
from diverseevol.evaluation.answer_decode import SAMPLINGS, Chooser, decode
from diverseevol.evaluation.answer_local import Prompts
from diverseevol.evaluation.questions import Question
from diverseevol.models.load import load_tokenizer
from diverseevol.text.tokens import Encoder
from helpers import SHARED, TINYSTORIES, clock, has_shared, parsed, tinystories

Answers = list[list[int]]
Texts = list[list[int]]


def alone(model: PreTrainedModel, texts: Texts, max_new: list[int], stops: set[int]) -> Answers:
    answers = []
    for text, n in zip(texts, max_new, strict=True):
        ids = torch.tensor([text])
        ends = {"eos_token_id": sorted(stops) or None, "pad_token_id": 0}
        new = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, do_sample=False, **ends)[
            0, len(text) :
        ].tolist()
        answers.append(new[:-1] if new and new[-1] in stops else new)
    return answers


def batched(model: PreTrainedModel, texts: Texts, max_new: list[int], stops: set[int], size: int) -> Answers:
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    answers: Answers = [[] for _ in texts]
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        some, limits = [texts[row] for row in rows], [max_new[row] for row in rows]
        chooser = Chooser(model, SAMPLINGS["greedy"], some, np.zeros((len(rows), max(limits))))
        for ended in decode(model, some, limits, stops, chooser, lambda n: None):
            answers[rows[ended.row]] = ended.ids
    return answers


def timed(work: Callable[[], Answers]) -> tuple[Answers, float]:
    started = clock()
    answers = work()
    return answers, sum(map(len, answers)) / (clock() - started)


def compare(
    name: str, model: PreTrainedModel, texts: Texts, max_new: list[int], stops: set[int], options: argparse.Namespace, n_slow: int
) -> None:
    n_slow = min(n_slow, len(texts))
    slow_rates, fast_rates = [], {size: [] for size in options.batch_size}
    fast: dict[int, Answers] = {}
    for _ in range(options.rounds):
        slow, rate = timed(lambda: alone(model, texts[:n_slow], max_new[:n_slow], stops))
        slow_rates.append(rate)
        for size in options.batch_size:
            fast[size], rate = timed(lambda size=size: batched(model, texts, max_new, stops, size))
            fast_rates[size].append(rate)
    print(
        f"\n{name}: {len(texts)} prompts, mean {np.mean([len(text) for text in texts]):.0f} tokens; one at a time {max(slow_rates):,.0f} tokens/s"
    )
    for size, answers in fast.items():
        n_same = sum(a == b for a, b in zip(answers[:n_slow], slow, strict=True))
        print(
            f"  batches of {size}: {max(fast_rates[size]):,.0f} tokens/s, {max(fast_rates[size]) / max(slow_rates):.2f} × one at a time; "
            f"{n_same} of {n_slow} answers the same"
        )
    n_differ = sum(a != b for sizes in fast.values() for a, b in zip(sizes, fast[options.batch_size[0]], strict=True))
    print(f"  between the batch sizes {n_differ} answers differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64, help="prompts of the Llama")
    parser.add_argument("--slow-prompts", type=int, default=6, help="of which so many are answered one at a time")
    parser.add_argument("--new-tokens", type=int, default=192, help="tokens of each of its answers")
    parser.add_argument("--batch-size", nargs="+", type=int, default=[64, 32])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--questions", type=int, default=80, help="Vicuna questions for the TinyStories model")
    parser.add_argument("--only", choices=("llama", "tinystories"))
    options = parsed(parser)
    if options.only != "tinystories":
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=32_000, hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8
        )
        rng = np.random.default_rng(0)
        texts = [rng.integers(3, 32_000, int(n)).tolist() for n in rng.integers(60, 250, options.prompts)]
        limits = [options.new_tokens] * len(texts)
        compare("Llama 512 x 8, float32", LlamaForCausalLM(config).eval(), texts, limits, set(), options, options.slow_prompts)
    if options.only == "llama" or not has_shared("TinyStories on Vicuna"):
        return
    tokenizer = load_tokenizer(TINYSTORIES)
    made = Prompts(Encoder(tokenizer, PromptConfig()), tokenizer, 512, 1024)
    lines = (SHARED / "benchmarks" / "vicuna_test_set.jsonl").read_text().splitlines()[: options.questions]
    prompts = [made.make(Question(number, (json.loads(line)["text"],))) for number, line in enumerate(lines)]
    texts, limits = [prompt.ids for prompt in prompts], [prompt.max_new for prompt in prompts]
    compare("TinyStories on Vicuna, float32", tinystories(), texts, limits, {int(tokenizer.eos_token_id)}, options, len(texts))


if __name__ == "__main__":
    main()
