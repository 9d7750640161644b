"""Faults of answering and of its questions."""

from . import Fault

FAULTS = [
    Fault(
        "evaluation/answer/prompts.py",
        "min(self.max_new, self.context // 2)",
        "self.max_new",
        "tests/evaluation/answer/test_prompts.py",
    ),
    Fault(
        "evaluation/answer/prompts.py",
        "for number, turn in enumerate(turns):",
        "for number, turn in reversed(list(enumerate(turns))):",
        "tests/evaluation/answer/test_prompts.py",
    ),
    Fault(
        "evaluation/answer/choose.py",
        "sums_BK <= wanted_B1",
        "sums_BK < wanted_B1 - 1e-3",
        "tests/evaluation/answer/test_choose.py",
    ),
    Fault(
        "evaluation/answer/choose.py",
        "ids_BK[:, :k].sort(dim=1).values",
        "ids_BK[:, :k]",
        "tests/evaluation/answer/test_choose.py",
    ),
    Fault("evaluation/answer/choose.py", "(is_open_B * weights_BK", "(0 * weights_BK", "tests/evaluation/answer/test_choose.py"),
    Fault("evaluation/answer/choose.py", "if self._is_exact:", "if False:", "tests/evaluation/answer/test_decode.py"),
    Fault("evaluation/answer/choose.py", "self._texts[row].append(token)", "pass", "tests/evaluation/answer/test_decode.py"),
    Fault(
        "evaluation/answer/decode.py",
        "(mask_BT.cumsum(dim=1) - 1).clamp(min=0)",
        "torch.arange(mask_BT.shape[1], device=where).expand_as(mask_BT)",
        "tests/evaluation/answer/test_decode.py",
    ),
    Fault(
        "evaluation/answer/decode.py",
        "cache.batch_select_indices(kept_B)",
        "cache.batch_select_indices(kept_B.flip(0))",
        "tests/evaluation/answer/test_decode.py",
    ),
    Fault(
        "evaluation/answer/decode.py",
        "positions_BT[:, -1:] + 1",
        "positions_BT[:, -1:] + 2",
        "tests/evaluation/answer/test_decode.py",
    ),
    Fault(
        "evaluation/answer/local.py",
        "order[dist.rank() :: dist.world_size()]",
        "order[dist.rank() : dist.rank() + dist.world_size()]",
        "tests/evaluation/answer/test_local.py",
    ),
    Fault(
        "evaluation/answer/local.py",
        "own if isinstance(own, list) else [own]",
        "[] if isinstance(own, list) else [own]",
        "tests/evaluation/answer/test_local.py",
    ),
    Fault(
        "evaluation/answer/local.py",
        "uniforms(self.seed, name, turn,",
        "uniforms(0, name, turn,",
        "tests/evaluation/answer/test_local.py",
    ),
    Fault("evaluation/answer/answer_file.py", "*whole, _ = ", "whole = ", "tests/evaluation/answer/test_answer_file.py"),
    Fault(
        "evaluation/answer/answer_file.py", "for key in keys)", "for key in lines)", "tests/evaluation/answer/test_answer_file.py"
    ),
    Fault(
        "evaluation/answer/served.py",
        '(eos if segment.ends_turn else "")',
        '""',
        "tests/evaluation/answer/test_served.py -k earlier",
    ),
    Fault(
        "data/benchmarks.py",
        "first.setdefault(text, number) != number",
        "first.setdefault(text, number) == number",
        "tests/evaluation/test_questions.py",
    ),
    Fault("evaluation/questions.py", "if earlier != number", "if False", "tests/evaluation/test_questions.py"),
    Fault("evaluation/answer/job.py", "if key_of(question.id) not in known", "if True", "tests/evaluation/answer/test_job.py"),
]
