"""Small models that answer, and a plain way to ask them."""

import pytest
from transformers import AutoModelForCausalLM

from diverseevol.base.progress import SILENT
from diverseevol.config import PromptConfig
from diverseevol.evaluation.answer_decode import SAMPLINGS
from diverseevol.evaluation.answer_local import LocalModel, Prompts
from diverseevol.evaluation.questions import Question
from diverseevol.models.load import load_tokenizer
from diverseevol.text.tokens import Encoder

WORDS = "a question about something that is longer than the others and about numbers 1 2 3 dates and lists"


@pytest.fixture
def questions():
    """Eleven of all lengths, not in order."""
    words = WORDS.split()
    texts = [f"What is {' '.join(words[: (7 * n) % 17])}?" for n in range(11)]
    return [Question(10 + n, (text,), category="even" if n % 2 else None) for n, text in enumerate(texts)]


@pytest.fixture(scope="session")
def tokenizer(made_model):
    return load_tokenizer(str(made_model))


@pytest.fixture
def model(lively_model):
    return AutoModelForCausalLM.from_pretrained(lively_model).eval()


@pytest.fixture
def prompts(tokenizer):
    """Makes prompts for a context and a longest answer."""
    return lambda context=512, max_new=12: Prompts(Encoder(tokenizer, PromptConfig()), tokenizer, context, max_new)


@pytest.fixture
def local(model, prompts):
    """A LocalModel; keywords are its fields, and max_new."""

    def local(sampling="greedy", max_new=12, seed=0, n_rows=None):
        return LocalModel(model, prompts(max_new=max_new), SAMPLINGS[sampling], seed, "tiny", n_rows)

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
