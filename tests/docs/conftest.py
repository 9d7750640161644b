"""The documented commands' place to run, and the helpers beside this file as modules."""

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # fences, workplace


def load(name):
    """A module of tests/evaluation by its file."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "evaluation" / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def workplace(made_model, tmp_path_factory):
    from workplace import Workplace, prepare

    root = tmp_path_factory.mktemp("docs")
    answers, judges = load("answer_server"), load("judge_server")
    prepare(root / "prepared", made_model, judges.answer_lines)
    with (
        answers.serving() as answerer,
        judges.serving(lambda asked: "8 6\nbecause" if "answer 2]" in asked.prompt else "7") as judge,
    ):
        yield Workplace(root, {"answer": answerer.url, "judge": judge.url})
