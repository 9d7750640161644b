"""Near-duplicates and decontamination: rows a second of processor time, peak memory, what is found, and recall against all pairs compared.

Claim: a pool of 52,000 rows is searched in well under two minutes on one core, and no pair that brute force finds is missed but
one in a hundred. All pairs are compared by scikit-learn's character n-grams, which share no code with ours.

    python benchmarks/overlap.py [--pool FILE] [--benchmark NAME=FILE …] [--rows 1000000]

Without a pool rows are made up; --rows makes so many.
"""

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from diverseevol.base.progress import SILENT
from diverseevol.data import Pool, contamination
from diverseevol.data.contamination import Benchmark, find_contamination, read_benchmarks
from diverseevol.data.duplicates import WIDTH, compared_parts, find_duplicates

THRESHOLD = 0.7


def made(n_rows: int) -> list[dict[str, str]]:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnoprstuvw", k=rng.randint(2, 9))) for _ in range(8000)]
    return [
        {"instruction": " ".join(rng.choices(words, k=rng.randint(5, 25))), "output": " ".join(rng.choices(words, k=60))}
        for _ in range(n_rows)
    ]


def changed(text: str, rng: random.Random) -> str:
    """A copy with one word in ten replaced, or in capitals."""
    words = text.split()
    for _ in range(max(1, len(words) // 10) if words else 0):
        words[rng.randrange(len(words))] = "changed"
    return " ".join(words).upper() if rng.random() < 0.3 else " ".join(words)


def with_copies(rows: list[dict[str, str]], n_copies: int) -> list[dict[str, str]]:
    rng = random.Random(1)
    copies = [
        {key: changed(value, rng) if isinstance(value, str) else value for key, value in row.items()}
        for row in rng.sample(rows, n_copies)
    ]
    both = rows + [row for row in copies if row.get("output", row.get("response")) and row["instruction"]]
    rng.shuffle(both)
    return both


def all_pairs(parts: list[tuple[str, str, str]]) -> np.ndarray:
    """The least Jaccard similarity over the parts, of all pairs."""
    from sklearn.feature_extraction.text import CountVectorizer

    least = np.ones((len(parts), len(parts)), dtype=np.float32)
    for column in zip(*parts, strict=True):
        if any(column):
            # Blanks at an end would be run together; any rare character fills up as well.
            texts = [text.ljust(WIDTH, "\ue000") if text else "" for text in column]
            counted = CountVectorizer(analyzer="char", ngram_range=(WIDTH, WIDTH), binary=True, lowercase=False, dtype=np.float32)
            sets = counted.fit_transform(texts)
            sizes = np.asarray(sets.sum(axis=1)).ravel()
            both = (sets @ sets.T).toarray()
            either = sizes[:, None] + sizes - both
            least = np.minimum(least, np.where(either > 0, both / np.maximum(either, 1), 1))
    return least


def by_brute_force(parts: list[tuple[str, str, str]]) -> dict[int, float]:
    least, kept, found = all_pairs(parts), [], {}
    for row in range(len(parts)):
        best = least[row, kept].max(initial=0) if any(parts[row]) else 0
        if best >= THRESHOLD - 1e-6:
            found[row] = float(best)
        else:
            kept.append(row)
    return found


def timed(work):
    """A result and its seconds of processor time, all threads together: what others do on the machine does not count."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def pool_of(rows: list[dict[str, str]], folder: Path) -> Pool:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Pool.read(file)


def n_by_13_words(pool: Pool, benchmarks: list[Benchmark]) -> int:
    n_words, contamination.N_WORDS = contamination.N_WORDS, 13
    share, contamination.MIN_SHARE = contamination.MIN_SHARE, 0.0
    try:
        index = contamination.Questions([question.text for one in benchmarks for question in one.questions])
        turns = (pool.sample(row).turns for row in range(len(pool)))
        return sum(any(index.inside(text) for turn in some for text in (turn.text, turn.input)) for some in turns)
    finally:
        contamination.N_WORDS, contamination.MIN_SHARE = n_words, share


def show_whole(pool: Pool, words: list[str]) -> None:
    records = pool.records
    everything = np.ones(len(records), dtype=bool)
    for name, threshold in (("exact", None), ("near", THRESHOLD)):
        found, seconds = timed(lambda threshold=threshold: find_duplicates(records, everything, threshold, SILENT))
        n_groups = len({one.kept for one in found})
        print(
            f"{name + ' duplicates:':<20}{len(records) / seconds:>10,.0f} rows/s {seconds:7.1f} s  {len(found):,} in {n_groups:,} groups"
        )
    if words:
        benchmarks = read_benchmarks(words)
        matches, seconds = timed(lambda: find_contamination(records, everything, benchmarks, SILENT))
        n_rows = len({match.position for match in matches})
        n_questions = sum(len(one.questions) for one in benchmarks)
        print(
            f"{'contamination:':<20}{len(records) / seconds:>10,.0f} rows/s {seconds:7.1f} s  {n_rows:,} rows, of {n_questions:,} questions"
        )
        for match in matches[:20]:
            print(
                f"  {match.question.benchmark} {match.question.id}: {match.kind} {match.score:.2f} in {match.role}: {match.matched[:90]}"
            )
        print(f"  rows by the older rule, any 13 words in a row: {n_by_13_words(pool, benchmarks):,}")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


def show_recall(pool: Pool) -> None:
    records = pool.records
    parts = [compared_parts(sample) for sample in records.samples(0, len(records))]
    expected, brute_seconds = timed(lambda: by_brute_force(parts))
    found, seconds = timed(lambda: find_duplicates(records, np.ones(len(records), dtype=bool), THRESHOLD, SILENT))
    own = {one.position: one.similarity for one in found}
    n_right = sum(row in own and abs(own[row] - similarity) < 1e-5 for row, similarity in expected.items())
    print(
        f"recall on {len(records):,} rows with planted copies: {n_right / max(1, len(expected)):.4f} of {len(expected):,} that all pairs give; "
        f"{len(own.keys() - expected.keys())} that they do not ({seconds:.1f} s, all pairs {brute_seconds:.1f} s)"
    )
    assert n_right >= 0.98 * len(expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--benchmark", action="append", default=[])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--sample", type=int, default=1500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pool = Pool.read(options.pool) if options.pool else pool_of(with_copies(made(options.rows), options.rows // 50), folder)
        print(f"{len(pool):,} rows of {options.pool or 'made-up text'}, near from {THRESHOLD} on")
        show_whole(pool, options.benchmark)
        rows = [pool.record(int(row)) for row in np.random.default_rng(0).permutation(len(pool))[: options.sample]]
        show_recall(pool_of(with_copies(rows, len(rows) // 5), folder))


if __name__ == "__main__":
    main()
