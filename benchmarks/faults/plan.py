"""The plan's arithmetic, the facts behind it, and the final tuning."""

from . import Fault

WORK, WHOLE = "tests/plan/test_work.py", "tests/plan/test_whole.py"

FAULTS = [
    Fault("plan/work.py", "if index + 1 < len(sizes) else 0", "if index + 1 < len(sizes) else 1", WORK),
    Fault("plan/work.py", "2.0 * shape.n_layers", "1.0 * shape.n_layers", WORK),
    Fault("plan/work.py", "shape.n_computing + (shape.n_adapter", "shape.n_decoder + (shape.n_adapter", WORK),
    Fault("plan/work.py", "math.ceil(share * n_free)", "math.floor(share * n_free)", WORK),
    Fault("plan/work.py", "math.ceil(n_rows / per_step)", "(n_rows / per_step)", WORK),
    Fault("plan/work.py", "most = max(1, int(", "most = max(1, 1 + int(", WORK),
    Fault(
        "plan/whole.py",
        "full_flops=tuning_flops(facts.target, whole_tokens, False)",
        "full_flops=tuning_flops(facts.model, whole_tokens, False)",
        WHOLE,
    ),
    Fault(
        "plan/whole.py",
        "same_flops=tuning_flops(facts.target, whole_tokens, is_adapter)",
        "same_flops=tuning_flops(facts.target, whole_tokens, False)",
        WHOLE,
    ),
    Fault("plan/whole.py", "+ self.final_flops", "", WHOLE),
    Fault("plan/knobs.py", "full_flops=plan.full_flops, ", "", WHOLE),
    Fault("plan/memory.py", "12.0 * tuned", "8.0 * tuned", "tests/plan/test_memory_and_disk.py"),
    Fault("plan/disk.py", "sorted(passes)[-n_signals:]", "passes", "tests/plan/test_memory_and_disk.py"),
    Fault("plan/judging.py", "ORDERS = 2", "ORDERS = 1", "tests/plan/test_hardware_and_judging.py"),
    Fault("plan/hardware.py", "FLOAT32 = 0.5", "FLOAT32 = 1.0", "tests/plan/test_hardware_and_judging.py"),
    Fault("plan/facts.py", "n_trained_N > 0", "n_trained_N >= 0", "tests/plan/test_facts.py"),
    Fault("plan/measured.py", "to_do * seconds / measured", "to_do * measured / seconds", "tests/plan/test_measured.py"),
    Fault(
        "plan/read_shape.py",
        "n_decoder=n_outside_tables(decoder)",
        "n_decoder=n_computing(model)",
        "tests/plan/test_read_shape.py",
    ),
    Fault("opening.py", "    _check_lists(config, pool, lists, n_unusable)\n", "", "tests/test_planning.py"),
    Fault("planning.py", "_lengths(pool, other, final) if is_other", "lengths if is_other", "tests/test_planning.py"),
    Fault(
        "final.py",
        "samples, len(chosen), tokenizer, config.prompt",
        "samples, len(chosen), stages.tokenizer, config.prompt",
        "tests/test_final.py",
    ),
    Fault("final.py", "        _check_same(stages, made_of)\n        return\n", "        return\n", "tests/test_final.py"),
    Fault(
        "config/schema.py", '"train": self.selector.of(self.train), "selector": None', '"selector": None', "tests/test_final.py"
    ),
]
