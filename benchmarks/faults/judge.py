"""Faults of judge."""

from . import Fault

FAULTS = [
    Fault("evaluation/judge/parse.py", "if number in values:", "if False:", "tests/evaluation/judge/test_parse.py"),
    Fault("evaluation/judge/parse.py", "elif FRACTION.fullmatch(first):", "elif False:", "tests/evaluation/judge/test_parse.py"),
    Fault("evaluation/judge/parse.py", "PAIR.fullmatch(first)", "PAIR.match(first)", "tests/evaluation/judge/test_parse.py"),
    Fault(
        "evaluation/judge/template.py",
        "if not any(mark in text for text in texts)",
        "if True",
        "tests/evaluation/judge/test_template.py",
    ),
    Fault(
        "evaluation/judge/pairs.py",
        "return scores[::-1] if self.order else scores",
        "return scores",
        "tests/evaluation/judge/test_pairs.py",
    ),
    Fault("evaluation/judge/pairs.py", "for left in theirs.values()", "for left in ()", "tests/evaluation/judge/test_pairs.py"),
    Fault(
        "evaluation/judge/request.py",
        "judgement.question, *judgement.shown]",
        "judgement.question, *sorted(judgement.shown)]",
        "tests/evaluation/judge/test_request.py",
    ),
    Fault(
        "evaluation/judge/store.py",
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA locking_mode = NORMAL",
        "tests/evaluation/judge/test_store.py",
    ),
    Fault(
        "evaluation/judge/cost.py",
        "self._reserved + money > self._limit",
        "money > self._limit",
        "tests/evaluation/judge/test_cost.py",
    ),
    Fault(
        "evaluation/api_client.py",
        "text = text.replace(self._secret, STRUCK_OUT) if self._secret else text",
        "text = str(text)",
        "tests/evaluation/test_api_client.py",
    ),
    Fault("evaluation/api_client.py", "max_retries=0", "max_retries=1", "tests/evaluation/test_api_client.py"),
    Fault("evaluation/judge/asking.py", "self.n_in_vain = 0\n", "pass\n", "tests/evaluation/judge/test_asking.py"),
    Fault("evaluation/judge/asking.py", "used = most\n", "used = Tokens()\n", "tests/evaluation/judge/test_asking.py"),
    Fault(
        "evaluation/api_patience.py",
        "self.pace.pause(seconds)",
        "await asyncio.sleep(seconds)",
        "tests/evaluation/judge/test_asking.py",
    ),
    Fault(
        "evaluation/judge/asking.py",
        "while self.queue and not self._is_stopped()",
        "while self.queue",
        "tests/evaluation/judge/test_asking.py",
    ),
    Fault("evaluation/judge/verdicts.py", "judgement.ours_first(scores)", "scores", "tests/evaluation/judge/test_verdicts.py"),
]
