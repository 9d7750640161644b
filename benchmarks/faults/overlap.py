"""Faults of overlap."""

from . import Fault

DUPLICATES, CONTAMINATION = "tests/data/test_duplicates.py", "tests/data/test_contamination.py"
LEFT_OUT, CLI = "tests/data/test_left_out.py", "tests/cli/test_check.py"
FAULTS = [
    Fault("data/duplicates.py", "- WIDTH + 1)", "- WIDTH)", DUPLICATES),
    Fault("data/duplicates.py", "|{SIGNS}+(?!\\w)", "", CONTAMINATION),
    Fault("data/contamination.py", '[0] not in "LMN"', '[0] not in "LN"', CONTAMINATION),
    Fault("data/duplicates.py", 'f"{part}{shingle}"', "shingle", DUPLICATES),
    Fault("data/duplicates.py", "min(least,", "max(0.0,", DUPLICATES),
    Fault("data/duplicates.py", "<= MISSED]", "<= 0.5]", DUPLICATES),
    Fault("data/duplicates.py", "(near.similarity, -near.kept)", "(near.similarity, near.kept)", DUPLICATES),
    Fault("data/duplicates.py", "best.similarity >= threshold", "best.similarity > 0", DUPLICATES),
    Fault("data/duplicates.py", "sizes[group_of] > 1", "sizes[group_of] > 2", DUPLICATES),
    Fault("data/duplicates.py", "                continue\n", "", DUPLICATES),
    Fault("data/duplicates.py", "kept[~is_first].tolist()", "positions[~is_first].tolist()", DUPLICATES),
    Fault("data/duplicates.py", "if one.kept in near else one", "if False else one", DUPLICATES),
    Fault("data/duplicates.py", "np.flatnonzero(is_in), records", "np.arange(len(is_in)), records", DUPLICATES),
    Fault("data/duplicates.py", 'plain("\\n".join(inputs))', '""', DUPLICATES),
    Fault("data/pool.py", "if is_in[position])", ")", "tests/data/test_pool.py"),
    Fault("data/contamination.py", "if score >= MIN_SHARE", "if score >= 0", CONTAMINATION),
    Fault("data/contamination.py", "len(own) - N_WORDS + 1", "len(own) - N_WORDS", CONTAMINATION),
    Fault("data/contamination.py", "self._sizes[number] - n)", "self._sizes[number])", CONTAMINATION),
    Fault("data/contamination.py", 'if turn.role == "user":', 'if turn.role != "x":', CONTAMINATION),
    Fault("data/contamination.py", "reverse=True", "reverse=False", CONTAMINATION),
    Fault("data/contamination.py", "(turn.thinking, turn.text, turn.input)", "(turn.thinking, turn.text)", CONTAMINATION),
    Fault(
        "data/contamination.py",
        'hashlib.blake2b(f"{asked.field}\\0".encode()',
        'hashlib.blake2b(b""',
        "tests/data/test_benchmarks.py",
    ),
    Fault("data/build.py", "find_duplicates(records, status == Status.KEPT,", "find_duplicates(records, status < 9,", LEFT_OUT),
    Fault("data/build.py", "remove(pool_dir / CONTAMINATION)", "pass", LEFT_OUT),
    Fault("data/build.py", "    if config.dedup:\n        status[", "    if True:\n        status[", LEFT_OUT),
    Fault("data/build.py", "for match in matches]] = Status.CONTAMINATED", "for match in matches]] = Status.KEPT", LEFT_OUT),
    Fault("data/build.py", "status[n_trained == 0] = Status.TOO_LONG", "pass", CLI),
    Fault("data/ids.py", "for turn in sample.turns]", "for turn in sample.turns[:1]]", DUPLICATES),
    Fault(
        "loop/fingerprint.py",
        '{f"benchmark {one.name}": one.fingerprint for',
        '{f"benchmark {one.name}": "" for',
        CLI,
    ),
    Fault("data/left_out.py", 'elif line["id"] != pool.records.id(position):', "elif False:", LEFT_OUT),
    Fault("data/pool.py", "status == Status.KEPT", "status != Status.DUPLICATE", LEFT_OUT),
    Fault("data/pool.py", "~np.isin(positions, self.positions)", "positions < 0", LEFT_OUT),
    Fault("data/json_files.py", "closed = number + 1, text[at]", "closed = number, text[at]", "tests/data/test_sources.py"),
    Fault("data/json_files.py", "if text[at + 1 :].strip():", "if False:", "tests/data/test_sources.py"),
    Fault("data/sources.py", "(file, *file.parents)", "(file,)", "tests/acceptance/test_reading.py"),
    Fault("data/tables.py", "if item is not None", "if True", "tests/acceptance/test_reading.py"),
]
