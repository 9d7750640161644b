"""Faults of answering and of its questions."""

from . import Fault

FAULTS = [
    Fault(
        "evaluation/answer_local.py",
        "self.context - min(self.max_new, self.context // 2)",
        "self.context - self.max_new",
        "tests/evaluation/test_answer_local.py",
    ),
    Fault(
        "evaluation/answer_decode.py",
        "sums_BK <= uniforms_B",
        "sums_BK < -1e-3 + uniforms_B",
        "tests/evaluation/test_answer_decode.py",
    ),
    Fault("evaluation/answer_decode.py", ".indices.sort(dim=1).values", ".indices", "tests/evaluation/test_answer_decode.py"),
    Fault("evaluation/answer_decode.py", "self._texts[row].append(token)", "pass", "tests/evaluation/test_answer_decode.py"),
    Fault(
        "evaluation/answer_decode.py",
        "(mask_BT.cumsum(dim=1) - 1).clamp(min=0)",
        "torch.arange(mask_BT.shape[1], device=where).expand_as(mask_BT)",
        "tests/evaluation/test_answer_decode.py",
    ),
    Fault(
        "evaluation/answer_decode.py",
        "cache.batch_select_indices(kept_B)",
        "cache.batch_select_indices(kept_B.flip(0))",
        "tests/evaluation/test_answer_decode.py",
    ),
    Fault(
        "evaluation/answer_decode.py",
        "positions_BT[:, -1:] + 1",
        "positions_BT[:, -1:] + 2",
        "tests/evaluation/test_answer_decode.py",
    ),
    Fault(
        "evaluation/answer_local.py",
        "order[dist.rank() :: dist.world_size()]",
        "order[dist.rank() : dist.rank() + dist.world_size()]",
        "tests/evaluation/test_answer_local.py",
    ),
    Fault(
        "evaluation/answer_local.py",
        "own if isinstance(own, list) else [own]",
        "[] if isinstance(own, list) else [own]",
        "tests/evaluation/test_answer_local.py",
    ),
    Fault(
        "evaluation/answer_local.py",
        "uniforms(self.seed, question.id,",
        "uniforms(0, question.id,",
        "tests/evaluation/test_answer_local.py",
    ),
    Fault("evaluation/journal.py", "file.truncate(file.tell() - len(torn))", "pass", "tests/evaluation/test_answer.py"),
    Fault("evaluation/answer.py", "for key in keys)", "for key in lines)", "tests/evaluation/test_answer.py"),
    Fault(
        "data/benchmarks.py",
        "first.setdefault(text, number) != number",
        "first.setdefault(text, number) == number",
        "tests/evaluation/test_questions.py",
    ),
    Fault("evaluation/questions.py", "if earlier != number", "if False", "tests/evaluation/test_questions.py"),
    Fault("evaluation/answer.py", "if key_of(question.id) not in known", "if True", "tests/evaluation/test_answer.py"),
]
