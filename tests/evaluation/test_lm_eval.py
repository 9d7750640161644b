import json
import math
import sys
from functools import partial
from pathlib import Path

import pytest

from diverseevol.errors import ConfigError
from diverseevol.evaluation.lm_eval import TaskRequest, _manager, _plain, check_tasks, headline, task_scores


def test_a_limited_result_is_kept_apart():
    whole, some = TaskRequest(("a", "b")), TaskRequest(("a", "b"), limit=5)
    assert [whole.key("a"), some.key("a")] == ["a", "a (first 5)"]
    assert whole.without({"a"}).names == ("b",)
    assert some.without({"a"}).names == ("a", "b")
    assert some.without({"a (first 5)"}) == TaskRequest(("b",), limit=5)


def test_the_headline_is_the_normed_accuracy_else_the_first_metric():
    assert headline({"acc": 0.1, "acc_stderr": 0.0, "acc_norm": 0.2}) == ("acc_norm", 0.2)
    assert headline({"word_perplexity_stderr": 1.0, "word_perplexity": 3.0}) == ("word_perplexity", 3.0)
    assert headline({}) is None


def test_plain_values_lose_the_filters_name_and_what_is_no_number():
    found = {"alias": "x", "acc,none": 0.5, "acc_stderr,none": "N/A", "em,strict": 1, "bad,none": math.nan, "sample_len": 8}
    assert _plain(found) == {"acc": 0.5, "em (strict)": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A task of one's own: which of two answers follows."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = [{"q": f"Say {number}", "choices": [" one", " two words"], "gold": number % 2} for number in range(6)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "tiny.yaml").write_text(
        f"task: tiny_choice\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {folder / 'rows.jsonl'}\n"
        "test_split: test\noutput_type: multiple_choice\ndoc_to_text: '{{q}}'\ndoc_to_choice: '{{choices}}'\ndoc_to_target: gold\n"
        "metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n"
    )
    return folder


@pytest.fixture
def only_ones_own(monkeypatch):
    """Leaves lm-eval's own thousands of tasks unread."""
    tasks = pytest.importorskip("lm_eval.tasks", reason="needs the extra lm-eval")
    monkeypatch.setattr(tasks, "TaskManager", partial(tasks.TaskManager, include_defaults=False))
    _manager.cache_clear()
    yield
    _manager.cache_clear()


@pytest.mark.filterwarnings("ignore")  # lm-eval's and its parts' own
def test_a_task_of_ones_own_gives_what_the_models_likelihoods_say(only_ones_own, folder, made_model, tmp_path, monkeypatch):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(made_model).eval(), AutoTokenizer.from_pretrained(made_model)
    with pytest.raises(ConfigError, match=r"lm-eval knows no task 'tiny_choise'. Did you mean 'tiny_choice'"):
        check_tasks(TaskRequest(("tiny_choise",), folder=folder))
    found = task_scores(model, tokenizer, TaskRequest(("tiny_choice",), limit=5, folder=folder))
    n_right = 0
    for row in map(json.loads, (folder / "rows.jsonl").read_text().splitlines()[:5]):
        start = tokenizer(row["q"])["input_ids"]
        sums = []
        for choice in row["choices"]:
            ids = tokenizer(row["q"] + choice)["input_ids"]
            with torch.no_grad():
                shares = model(input_ids=torch.tensor(ids)[None]).logits[0].log_softmax(-1)
            sums.append(sum(float(shares[place - 1, ids[place]]) for place in range(len(start), len(ids))))
        n_right += sums.index(max(sums)) == row["gold"]
    assert found["tiny_choice (first 5)"]["tiny_choice"]["acc"] == pytest.approx(n_right / 5)


def test_without_lm_eval_it_says_what_to_install(monkeypatch):
    _manager.cache_clear()
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(ConfigError, match=r"--tasks needs lm-eval .*pip install 'diverseevol\[lm-eval\]'"):
        check_tasks(TaskRequest(("hellaswag",)))
