"""Faults of overlap."""

from . import Fault

FAULTS = [
    Fault("pool/overlap/near.py", "- WIDTH + 1)", "- WIDTH)", "tests/pool/overlap/test_near.py"),
    Fault("pool/overlap/near.py", 'f"{part}{shingle}"', "shingle", "tests/pool/overlap/test_near.py"),
    Fault("pool/overlap/near.py", "return min(map", "return max(map", "tests/pool/overlap/test_near.py"),
    Fault("pool/overlap/near.py", "<= MISSED]", "<= 0.5]", "tests/pool/overlap/test_near.py"),
    Fault(
        "pool/overlap/near.py", "(near.similarity, -near.kept)", "(near.similarity, near.kept)", "tests/pool/overlap/test_near.py"
    ),
    Fault("pool/overlap/near.py", "best.similarity >= threshold", "best.similarity > 0", "tests/pool/overlap/test_near.py"),
    Fault("pool/overlap/near.py", "sizes[group_of] > 1", "sizes[group_of] > 2", "tests/pool/overlap/test_near.py"),
    Fault("pool/overlap/near.py", "                continue\n", "", "tests/pool/overlap/test_near.py"),
    Fault(
        "pool/overlap/duplicates.py",
        "in zip(positions[~is_first], kept[~is_first]",
        "in zip(positions[~is_first], positions[~is_first]",
        "tests/pool/overlap/test_duplicates.py",
    ),
    Fault(
        "pool/overlap/duplicates.py",
        "if one.kept in replaced else one",
        "if False else one",
        "tests/pool/overlap/test_duplicates.py",
    ),
    Fault(
        "pool/overlap/duplicates.py",
        "positions = np.flatnonzero(is_in)",
        "positions = np.arange(len(is_in))",
        "tests/pool/overlap/test_duplicates.py",
    ),
    Fault("pool/store.py", "if is_in[position])", ")", "tests/pool/test_store.py"),
    Fault("pool/overlap/duplicates.py", 'plain("\\n".join(inputs))', '""', "tests/pool/overlap/test_duplicates.py"),
    Fault("pool/overlap/normal.py", "|{SIGNS}+(?!\\w)", "", "tests/pool/overlap/test_normal.py"),
    Fault("pool/overlap/normal.py", '[0] not in "LMN"', '[0] not in "LN"', "tests/pool/overlap/test_normal.py"),
    Fault("pool/overlap/phrases.py", "one.score >= MIN_SHARE", "one.score >= 0", "tests/pool/overlap/test_phrases.py"),
    Fault("pool/overlap/phrases.py", "len(own) - N_WORDS + 1", "len(own) - N_WORDS", "tests/pool/overlap/test_phrases.py"),
    Fault("pool/overlap/similar.py", "self._sizes[number] - n)", "self._sizes[number])", "tests/pool/overlap/test_similar.py"),
    Fault(
        "pool/overlap/contamination.py",
        'if turn.role == "user":',
        'if turn.role != "x":',
        "tests/pool/overlap/test_contamination.py",
    ),
    Fault("pool/overlap/contamination.py", "reverse=True", "reverse=False", "tests/pool/overlap/test_contamination.py"),
    Fault(
        "pool/overlap/contamination.py",
        "filter(None, (turn.thinking, turn.text, turn.input))",
        "filter(None, (turn.thinking, turn.text))",
        "tests/pool/overlap/test_contamination.py",
    ),
    Fault(
        "pool/overlap/benchmarks.py",
        'hashed = hashlib.blake2b(f"{asked.field}\\0".encode()',
        'hashed = hashlib.blake2b(b""',
        "tests/pool/overlap/test_benchmarks.py",
    ),
    Fault(
        "pool/overlap/left_out.py", "is_in & ~is_dropped, threshold", "is_in, threshold", "tests/pool/overlap/test_left_out.py"
    ),
    Fault(
        "pool/overlap/left_out.py",
        "    if config.dedup:\n        is_dropped[",
        "    if True:\n        is_dropped[",
        "tests/pool/overlap/test_left_out.py",
    ),
    Fault("pool/overlap/left_out.py", "remove(pool_dir / CONTAMINATION)", "pass", "tests/pool/overlap/test_left_out.py"),
    Fault("pool/overlap/left_out.py", 'if line["is_dropped"]:', "if True:", "tests/pool/overlap/test_left_out.py"),
    Fault("pool/overlap/vectors.py", " and near.kept not in repeats", "", "tests/pool/overlap/test_vectors.py"),
    Fault("pool/overlap/vectors.py", "if row not in repeats]", "]", "tests/pool/overlap/test_vectors.py"),
    Fault("pool/overlap/vectors.py", "(near.similarity, -near.kept)", "-near.kept", "tests/pool/overlap/test_vectors.py"),
    Fault("pool/overlap/vectors.py", "[rows - rows[0]] - mean_D", "[rows - rows[0]]", "tests/pool/overlap/test_vectors.py"),
    Fault("pool/ids.py", "for turn in sample.turns]", "for turn in sample.turns[:1]]", "tests/pool/overlap/test_duplicates.py"),
    Fault("pool/build.py", "else ~is_dropped", "else is_dropped", "tests/pool/overlap/test_left_out.py"),
    Fault(
        "prepare.py",
        "left_out(records, tokens.n_trained != 0,",
        "left_out(records, tokens.n_trained > -1,",
        "tests/cli/test_overlap.py",
    ),
    Fault(
        "opening.py",
        '{f"benchmark {one.name}": one.fingerprint for',
        '{f"benchmark {one.name}": "" for',
        "tests/cli/test_overlap.py",
    ),
    Fault("status.py", "why_dropped(run.pool_dir, records.id(position)) or ", "", "tests/cli/test_overlap.py"),
]
