"""Faults of overlap."""

from . import Fault

FAULTS = [
    Fault("data/overlap/near.py", "- WIDTH + 1)", "- WIDTH)", "tests/data/overlap/test_near.py"),
    Fault("data/overlap/near.py", 'f"{part}{shingle}"', "shingle", "tests/data/overlap/test_near.py"),
    Fault("data/overlap/near.py", "return min(map", "return max(map", "tests/data/overlap/test_near.py"),
    Fault("data/overlap/near.py", "<= MISSED]", "<= 0.5]", "tests/data/overlap/test_near.py"),
    Fault(
        "data/overlap/near.py", "(near.similarity, -near.kept)", "(near.similarity, near.kept)", "tests/data/overlap/test_near.py"
    ),
    Fault("data/overlap/near.py", "best.similarity >= threshold", "best.similarity > 0", "tests/data/overlap/test_near.py"),
    Fault("data/overlap/near.py", "sizes[group_of] > 1", "sizes[group_of] > 2", "tests/data/overlap/test_near.py"),
    Fault("data/overlap/near.py", "                continue\n", "", "tests/data/overlap/test_near.py"),
    Fault(
        "data/overlap/duplicates.py",
        "in zip(positions[~is_first], kept[~is_first]",
        "in zip(positions[~is_first], positions[~is_first]",
        "tests/data/overlap/test_duplicates.py",
    ),
    Fault(
        "data/overlap/duplicates.py",
        "if one.kept in replaced\n",
        "if False\n",
        "tests/data/overlap/test_duplicates.py",
    ),
    Fault(
        "data/overlap/duplicates.py",
        "positions = np.flatnonzero(is_in)",
        "positions = np.arange(len(is_in))",
        "tests/data/overlap/test_duplicates.py",
    ),
    Fault("data/store.py", "if is_in[position])", ")", "tests/data/test_store.py"),
    Fault("data/overlap/duplicates.py", 'plain("\\n".join(inputs))', '""', "tests/data/overlap/test_duplicates.py"),
    Fault("data/overlap/normal.py", "|{SIGNS}+(?!\\w)", "", "tests/data/overlap/test_normal.py"),
    Fault("data/overlap/normal.py", '[0] not in "LMN"', '[0] not in "LN"', "tests/data/overlap/test_normal.py"),
    Fault("data/overlap/phrases.py", "one.score >= MIN_SHARE", "one.score >= 0", "tests/data/overlap/test_phrases.py"),
    Fault("data/overlap/phrases.py", "len(own) - N_WORDS + 1", "len(own) - N_WORDS", "tests/data/overlap/test_phrases.py"),
    Fault("data/overlap/similar.py", "self._sizes[number] - n)", "self._sizes[number])", "tests/data/overlap/test_similar.py"),
    Fault(
        "data/overlap/contamination.py",
        'if turn.role == "user":',
        'if turn.role != "x":',
        "tests/data/overlap/test_contamination.py",
    ),
    Fault("data/overlap/contamination.py", "reverse=True", "reverse=False", "tests/data/overlap/test_contamination.py"),
    Fault(
        "data/overlap/contamination.py",
        "filter(None, (turn.thinking, turn.text, turn.input))",
        "filter(None, (turn.thinking, turn.text))",
        "tests/data/overlap/test_contamination.py",
    ),
    Fault(
        "data/overlap/benchmarks.py",
        'hashed = hashlib.blake2b(f"{asked.field}\\0".encode()',
        'hashed = hashlib.blake2b(b""',
        "tests/data/overlap/test_benchmarks.py",
    ),
    Fault(
        "data/overlap/left_out.py", "is_in & ~is_dropped, threshold", "is_in, threshold", "tests/data/overlap/test_left_out.py"
    ),
    Fault(
        "data/overlap/left_out.py",
        "    if config.dedup:\n        is_dropped[",
        "    if True:\n        is_dropped[",
        "tests/data/overlap/test_left_out.py",
    ),
    Fault("data/overlap/left_out.py", "remove(pool_dir / CONTAMINATION)", "pass", "tests/data/overlap/test_left_out.py"),
    Fault("data/overlap/left_out.py", 'if line["is_dropped"]:', "if True:", "tests/data/overlap/test_left_out.py"),
    Fault("data/overlap/vectors.py", " and near.kept not in repeats", "", "tests/data/overlap/test_vectors.py"),
    Fault("data/overlap/vectors.py", "if row not in repeats]", "]", "tests/data/overlap/test_vectors.py"),
    Fault("data/overlap/vectors.py", "(near.similarity, -near.kept)", "-near.kept", "tests/data/overlap/test_vectors.py"),
    Fault("data/overlap/vectors.py", "[rows - rows[0]] - mean_D", "[rows - rows[0]]", "tests/data/overlap/test_vectors.py"),
    Fault("data/ids.py", "for turn in sample.turns]", "for turn in sample.turns[:1]]", "tests/data/overlap/test_duplicates.py"),
    Fault("data/build.py", "else ~is_dropped", "else is_dropped", "tests/data/overlap/test_left_out.py"),
    Fault(
        "text/prepare.py",
        "left_out(records, tokens.n_trained != 0,",
        "left_out(records, tokens.n_trained > -1,",
        "tests/cli/test_overlap.py",
    ),
    Fault(
        "loop/opening.py",
        '{f"benchmark {one.name}": one.fingerprint for',
        '{f"benchmark {one.name}": "" for',
        "tests/cli/test_overlap.py",
    ),
    Fault("run/status.py", "why_dropped(run.pool_dir, records.id(position))\n", "None\n", "tests/cli/test_overlap.py"),
]
