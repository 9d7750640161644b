"""The plan's arithmetic, the facts behind it, and the final tuning."""

from . import Fault

ESTIMATE, FACTS = "tests/plan/test_estimate.py", "tests/plan/test_facts.py"

FAULTS = [
    Fault("plan/estimate.py", "index + 1 < len(sizes) and facts.signals", "facts.signals", ESTIMATE),
    Fault(
        "plan/estimate.py",
        "math.ceil(config.selection.candidates * n_free)",
        "math.floor(config.selection.candidates * n_free)",
        ESTIMATE,
    ),
    Fault("plan/estimate.py", "math.ceil(n_rows / per_step)", "(n_rows / per_step)", ESTIMATE),
    Fault("plan/estimate.py", "max(1, int(budget / facts.mean))", "1 + int(budget / facts.mean)", ESTIMATE),
    Fault("plan/estimate.py", "full_flops=target.full_flops * pool", "full_flops=model.full_flops * pool", ESTIMATE),
    Fault("plan/estimate.py", "(target.train_flops * pool_tokens)", "(target.full_flops * pool_tokens)", ESTIMATE),
    Fault("plan/estimate.py", "flops=flops + final_flops,", "flops=flops,", ESTIMATE),
    Fault("plan/estimate.py", "12.0 * n_tuned", "8.0 * n_tuned", ESTIMATE),
    Fault("plan/estimate.py", "[-kept[config.keep_signals] :]", "", ESTIMATE),
    Fault("plan/estimate.py", "n_judgements = 2 * sum", "n_judgements = sum", ESTIMATE),
    Fault("plan/estimate.py", "n_outside_tables(decoder) + head", "head", ESTIMATE),
    Fault("plan/facts.py", "n_trained_S > 0", "n_trained_S >= 0", FACTS),
    Fault("plan/facts.py", "if n_wanted > n_free and", "if n_wanted > facts.n_rows and", FACTS),
    Fault("run/metrics.py", "to_do * seconds / flops", "to_do * flops / seconds", "tests/plan/test_started_runs.py"),
    Fault(
        "loop/final.py",
        "len(chosen),\n        tokenizer,",
        "len(chosen),\n        rounds.tokenizer,",
        "tests/loop/test_final.py",
    ),
    Fault(
        "loop/final.py",
        "if stored.values().get(key) != value",
        "if False",
        "tests/loop/test_final.py",
    ),
    Fault(
        "config/schema.py",
        '"train": self.selector.of(self.train), "selector": None',
        '"selector": None',
        "tests/loop/test_final.py",
    ),
]
