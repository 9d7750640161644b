"""Small models that answer, and a plain way to ask them."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from diverseevol.config import PromptConfig
from diverseevol.evaluation.answer.local import LocalModel
from diverseevol.evaluation.answer.prompts import Prompts
from diverseevol.evaluation.answer.sampling import SAMPLINGS
from diverseevol.evaluation.questions import Question
from diverseevol.models import load_tokenizer
from diverseevol.progress import SILENT
from diverseevol.tokens import Encoder

WORDS = [
    "a",
    "question",
    "about",
    "something",
    "that",
    "is",
    "longer",
    "than",
    "the",
    "others",
    "and",
    "about",
    "numbers",
    "1",
    "2",
    "3",
    "dates",
    "and",
    "lists",
]


@pytest.fixture
def questions():
    """Eleven of all lengths, not in order."""
    return [
        Question(10 + n, (f"What is {' '.join(WORDS[: (7 * n) % 17])}?",), category="even" if n % 2 else None) for n in range(11)
    ]


@pytest.fixture(scope="session")
def tokenizer(made_model):
    return load_tokenizer(str(made_model))


@pytest.fixture
def model(made_model):
    """With weights so large and a head so different that it does not say the same to everything."""
    model = AutoModelForCausalLM.from_pretrained(made_model).eval()
    rng = torch.Generator().manual_seed(1)
    model.get_output_embeddings().weight = torch.nn.Parameter(torch.empty(512, 32))
    model.config.tie_word_embeddings = False
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.5, generator=rng)
    return model


@pytest.fixture
def prompts(tokenizer):
    """Makes prompts for a context and a longest answer."""

    def prompts(context=512, max_new=12):
        return Prompts(Encoder(tokenizer, PromptConfig()), tokenizer, context, max_new)

    return prompts


@pytest.fixture
def local(model, tokenizer, prompts):
    """A LocalModel; keywords are its fields, and max_new."""

    def local(sampling="greedy", max_new=12, model=model, **fields):
        made = {"seed": 0, "n_turns": 1, "name": "tiny", "n_rows": None, **fields}
        return LocalModel(model, tokenizer, prompts(max_new=max_new), SAMPLINGS[sampling], **made)

    return local


@pytest.fixture
def ask():
    """All lines that a model writes to questions, by id."""

    def ask(answerer, questions):
        lines = {}
        with SILENT.task("answer", None, "questions") as task:
            answerer.answer(questions, lambda line: lines.__setitem__(line["question_id"], line), task)
        return lines

    return ask
