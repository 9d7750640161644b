"""Break one line at a time, on a copy, and see whether the tests notice: a fault that no test notices is a hole in the tests.

    python benchmarks/mutations.py [--only PART] [--list]

Each fault is run against the tests named beside it, which stop at the first failure. Exit status 1 if a fault goes unnoticed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Fault:
    """One line broken."""

    file: str
    old: str
    new: str
    tests: str


SELECTION = [
    Fault("selection/traversal.py", "(offer[0], -offer[2])", "(offer[0], offer[2])", "tests/selection/test_traversal.py"),
    Fault(
        "selection/lazy_distances.py", "(scores >= best) & (scores > GONE)", "(scores > best)", "tests/selection/test_k_center.py"
    ),
    Fault("selection/lazy_distances.py", " | ((squared == bounds) & (nearest < known))", "", "tests/selection/test_k_center.py"),
    Fault(
        "selection/lazy_distances.py", "best > self.floor or", "best >= self.floor or", "tests/selection/test_lazy_distances.py"
    ),
    Fault(
        "selection/lazy_distances.py",
        "is_front = scores >= lowest",
        "is_front = scores > lowest",
        "tests/selection/test_lazy_distances.py",
    ),
    Fault(
        "selection/distances.py",
        "slack_MC = 4 * product_error",
        "slack_MC = 0 * product_error",
        "tests/selection/test_distances.py",
    ),
    Fault(
        "selection/distances.py",
        "np.lexsort((centre_rows[j_P], squared_P, i_P))",
        "np.lexsort((squared_P, i_P))",
        "tests/selection",
    ),
    Fault("selection/first_bounds.py", "(1 + (rows_BD.shape[1] + 8) * UNIT)", "0.999", "tests/selection/test_first_bounds.py"),
    Fault("selection/first_bounds.py", "[part - first]", "[: len(part)]", "tests/selection/test_first_bounds.py"),
    Fault("selection/candidates.py", "is_free[chosen_rows] = False", "pass", "tests/selection"),
    Fault("selection/k_center.py", "squared / 2 if", "squared if", "tests/selection/test_k_center.py"),
    Fault("selection/first_row.py", "(pick[0], -pick[1])", "(pick[0], pick[1])", "tests/selection"),
    Fault("selection/random_draw.py", "replace=False", "replace=True", "tests/selection/test_random_draw.py"),
    Fault("selection/reader.py", "values_MD /= np.sqrt", "values_MD /= (lambda x: x)", "tests/selection"),
]
LOOP = [
    Fault("loop.py", "stages.saved_picks(index) or ", "", "tests/test_loop.py tests/cli"),
    Fault("loop.py", "[stages.config.seed, index]", "[stages.config.seed + index]", "tests/test_loop.py"),
    Fault(
        "run_folder/folder.py",
        "for earlier in range(index) for",
        "for earlier in range(max(0, index - 1)) for",
        "tests/test_run_folder.py",
    ),
    Fault("run_folder/lock.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB", "tests/test_run_folder.py"),
    Fault("stages.py", "subset = sorted([*chosen", "subset = list([*chosen", "tests/test_loop.py"),
    Fault("stages.py", 'if config.train.start == "base" or', 'if config.train.start != "base" or', "tests/test_loop.py"),
    Fault("stages.py", "selectable[self.excluded_rows] = False", "pass", "tests/test_loop.py"),
    Fault("stages.py", 'side="right"', 'side="left"', "tests/test_loop.py"),
    Fault("seen.py", "np.searchsorted(self.rows, chosen)", "chosen", "tests/test_seen.py"),
    Fault("files.py", "remove(partial)\n        raise", "raise", "tests/test_files.py"),
    Fault("train/order.py", "[self.seed, self.epoch]", "[self.seed]", "tests/train/test_order.py"),
    Fault("embed/shards.py", "sums_B[:, None]", "lengths_B[:, None]", "tests/embed"),
]
OVERLAP = [
    Fault(
        "pool/overlap/minhash.py",
        "np.arange(len(hashed)) + WIDTH <= ends",
        "np.arange(len(hashed)) + WIDTH - 1 <= ends",
        "tests/pool/overlap/test_minhash.py",
    ),
    Fault("pool/overlap/minhash.py", "_mixed(hashes_S + part_of_S)", "_mixed(hashes_S)", "tests/pool/overlap/test_minhash.py"),
    Fault("pool/overlap/minhash.py", "bounds[some] - start", "bounds[some]", "tests/pool/overlap/test_minhash.py"),
    Fault("pool/overlap/minhash.py", ".min(initial=1.0)", ".max(initial=0.0)", "tests/pool/overlap/test_minhash.py"),
    Fault("pool/overlap/minhash.py", "<= MISSED]", "<= 0.5]", "tests/pool/overlap/test_near.py"),
    Fault(
        "pool/overlap/near.py", "(near.similarity, -near.kept)", "(near.similarity, near.kept)", "tests/pool/overlap/test_near.py"
    ),
    Fault("pool/overlap/near.py", "best.similarity >= threshold", "best.similarity > 0", "tests/pool/overlap/test_near.py"),
    Fault("pool/overlap/near.py", "is_meeting[order[:-1][is_same]] = True", "pass", "tests/pool/overlap/test_near.py"),
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
    Fault(
        "pool/overlap/batches.py",
        "start + at for at in asked",
        "start + at for at in range(len(asked))",
        "tests/pool/overlap/test_batches.py",
    ),
    Fault("pool/overlap/parts.py", 'plain("\\n".join(inputs))', '""', "tests/pool/overlap/test_duplicates.py"),
    Fault("pool/overlap/normal.py", "|{SIGNS}+(?!\\w)", "", "tests/pool/overlap/test_normal.py"),
    Fault("pool/overlap/normal.py", '[0] not in "LMN"', '[0] not in "LN"', "tests/pool/overlap/test_normal.py"),
    Fault("pool/overlap/phrases.py", "one.score >= MIN_SHARE", "one.score >= 0", "tests/pool/overlap/test_phrases.py"),
    Fault("pool/overlap/phrases.py", "len(own) - N_WORDS + 1", "len(own) - N_WORDS", "tests/pool/overlap/test_phrases.py"),
    Fault("pool/overlap/similar.py", "+ self._sizes - both_TQ", "+ self._sizes", "tests/pool/overlap/test_similar.py"),
    Fault("pool/overlap/similar.py", "np.cumsum(n_H) - n_H", "np.cumsum(n_H)", "tests/pool/overlap/test_similar.py"),
    Fault(
        "pool/overlap/contamination.py",
        'if turn.role == "user":\n            for',
        'if turn.role != "x":\n            for',
        "tests/pool/overlap/test_contamination.py",
    ),
    Fault("pool/overlap/contamination.py", "reverse=True", "reverse=False", "tests/pool/overlap/test_contamination.py"),
    Fault(
        "pool/overlap/contamination.py",
        "filter(None, (turn.text, turn.input))",
        "filter(None, (turn.text,))",
        "tests/pool/overlap/test_contamination.py",
    ),
    Fault(
        "pool/overlap/benchmarks.py",
        'hashed = hashlib.blake2b(f"{field}\\0".encode()',
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
    Fault(
        "pool/overlap/vectors.py",
        "best_B[is_better_B], nearest_B[is_better_B] = highest",
        "best_B[is_better_B], nearest_B[is_better_B] = 0 * highest",
        "tests/pool/overlap/test_vectors.py",
    ),
    Fault("pool/overlap/vectors.py", "is_kept_B[at] = False", "pass", "tests/pool/overlap/test_vectors.py"),
    Fault("pool/overlap/vectors.py", "[rows - rows[0]] - mean_D", "[rows - rows[0]]", "tests/pool/overlap/test_vectors.py"),
    Fault("pool/ids.py", "{turn.input}\\0", "", "tests/pool/overlap/test_duplicates.py"),
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
    Fault("status.py", "position is not None and not np.isin(position, pool.positions)", "False", "tests/cli/test_overlap.py"),
]

DIVERSITY = [
    Fault("evaluation/diversity.py", "found[name][0] for", "found[name][-1] for", "tests/evaluation/test_diversity.py"),
    Fault("evaluation/diversity.py", "found[name][1:] for", "found[name][:-1] for", "tests/evaluation/test_diversity.py"),
    Fault(
        "evaluation/diversity.py",
        "chosen_rows[: sizes[-1]]",
        "np.sort(chosen_rows)[: sizes[-1]]",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py", "sizes[-1], n_random, seed)", "sizes[-1], n_random, 0)", "tests/evaluation/test_diversity.py"
    ),
    Fault(
        "evaluation/diversity.py",
        "np.quantile(values_RT, BAND, axis=0)",
        "np.quantile(values_RT, BAND[::-1], axis=0)",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "share_hit(cells, order[:n]) for",
        "share_hit(cells, order) for",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "cell_entropy(cells, order[:n]) for",
        "cell_entropy(cells, np.arange(n)) for",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "vendi_scores(vectors, sizes=sizes)",
        "vendi_scores(vectors[::-1], sizes=sizes)",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "mean_nearest_within(vectors, np.arange(n)) if",
        "mean_nearest_within(embeddings, np.arange(n)) if",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "grams.measure(np.arange(n)) for",
        "grams.measure(np.arange(len(order))) for",
        "tests/evaluation/test_diversity.py",
    ),
    Fault("evaluation/diversity.py", "everything, asked)", "everything[:POOL_ROWS_ASKED])", "tests/evaluation/test_diversity.py"),
    Fault(
        "evaluation/diversity.py", "sorted(set(sizes)) != sizes", "sorted(sizes) != sizes", "tests/evaluation/test_diversity.py"
    ),
    Fault(
        "evaluation/coverage.py",
        "[len(chosen_rows)])[0][0, 0]",
        "[len(chosen_rows)])[1][0, 0]",
        "tests/evaluation/test_coverage.py",
    ),
    Fault(
        "evaluation/coverage.py",
        "largest_ST[order_pos, size_pos] = max(largest_ST[order_pos, size_pos], best_B.max())",
        "largest_ST[order_pos, size_pos] = best_B.max()",
        "tests/evaluation/test_coverage.py",
    ),
    Fault(
        "evaluation/coverage.py",
        "first = (order_pos - group.start) * sizes[-1]",
        "first = 0",
        "tests/evaluation/test_coverage.py",
    ),
    Fault(
        "evaluation/coverage.py",
        "first + start, first + size, best_B), size",
        "first + size - 1, first + size, best_B), size",
        "tests/evaluation/test_coverage.py",
    ),
    Fault("evaluation/coverage.py", "sums_ST / n_rows", "sums_ST / sizes[-1]", "tests/evaluation/test_coverage.py"),
    Fault("evaluation/coverage.py", "place_Q, -1)", "part.start + place_Q, -1)", "tests/evaluation/test_coverage.py"),
    Fault("evaluation/coverage.py", "0, len(some), best_Q, own_Q)", "0, len(some), best_Q)", "tests/evaluation/test_coverage.py"),
    Fault(
        "evaluation/coverage.py",
        "best_Q = centres.nearer(centres.screened(asked_QD), 0, len(some), best_Q, own_Q)",
        "best_Q = centres.nearer(centres.screened(asked_QD), 0, len(some), best_Q * np.inf, own_Q)",
        "tests/evaluation/test_coverage.py",
    ),
    Fault("evaluation/coverage.py", "return total / len(asked)", "return total / len(rows)", "tests/evaluation/test_coverage.py"),
    Fault("evaluation/nearest.py", "self._slack = 2 * (", "self._slack = 0 * (", "tests/evaluation/test_nearest.py"),
    Fault("evaluation/nearest.py", "least_BC[is_own_BC] = np.inf", "pass", "tests/evaluation/test_nearest.py"),
    Fault("evaluation/nearest.py", " & ~is_own_BC", "", "tests/evaluation/test_nearest.py"),
    Fault(
        "evaluation/nearest.py",
        "np.square(best_B / self._scale), most_B)",
        "np.square(best_B / self._scale) / 4, most_B)",
        "tests/evaluation/test_nearest.py",
    ),
    Fault("evaluation/nearest.py", "first + centre_P[some])", "centre_P[some])", "tests/evaluation/test_nearest.py"),
    Fault("evaluation/nearest.py", "rows.start + bad if", "bad if", "tests/evaluation/test_nearest.py"),
    Fault(
        "evaluation/nearest.py", "np.where(np.isfinite(norms_B), bound_B, np.inf)", "bound_B", "tests/evaluation/test_nearest.py"
    ),
    Fault("evaluation/nearest.py", "2 * s * norms_C[nearest_B] + (1 + s)", "(1 - s)", "tests/evaluation/test_nearest.py"),
    Fault(
        "evaluation/cells.py",
        "_n_cells(cells_N[rows]) / _n_cells(cells_N)",
        "_n_cells(cells_N[rows]) / (cells_N.max() + 1)",
        "tests/evaluation/test_cells.py",
    ),
    Fault("evaluation/cells.py", "[cells_N[rows] != NO_CELL]", "", "tests/evaluation/test_cells.py"),
    Fault(
        "evaluation/cells.py",
        "read(embeddings_ND, rows) / scale - shift_D,",
        "read(embeddings_ND, rows) / scale,",
        "tests/evaluation/test_cells.py",
    ),
    Fault(
        "evaluation/random_sets.py", "default_rng([seed, number])", "default_rng(seed)", "tests/evaluation/test_random_sets.py"
    ),
    Fault(
        "evaluation/text_diversity.py",
        "pieces_of[: len(grams)] == pieces_of[n - 1 :]",
        "texts_of[: len(grams)] == texts_of[n - 1 :]",
        "tests/evaluation/test_text_diversity.py",
    ),
    Fault(
        "evaluation/text_diversity.py",
        "grams[:-1], first[1:]",
        "grams[:-1], first[:-1]",
        "tests/evaluation/test_text_diversity.py",
    ),
    Fault("vendi.py", "gram[:n, :n]", "gram[-n:, -n:]", "tests/test_vendi.py"),
    Fault("vendi.py", "n_done = n\n", "n_done = 0\n", "tests/test_vendi.py"),
    Fault("vendi.py", " * shares[-1]]", " * 0]", "tests/test_vendi.py"),
    Fault(
        "fixed_embedding.py",
        "config.trust_remote_code and name == config.model",
        "config.trust_remote_code",
        "tests/test_fixed_embedding.py",
    ),
    Fault("fixed_embedding.py", "if fingerprint(name) != asked", "if False", "tests/test_fixed_embedding.py"),
    Fault(
        "fixed_embedding.py",
        "Tokens.open(tokens_dir, pool.positions)",
        "Tokens.open(tokens_dir)",
        "tests/test_fixed_embedding.py",
    ),
    Fault("fixed_embedding.py", "if not is_embedded(folder, mark)", "if True", "tests/test_fixed_embedding.py"),
    Fault("cli/diversity_subject.py", "if name != own", "if False", "tests/cli/test_diversity.py"),
    Fault(
        "cli/diversity_subject.py",
        "run.chosen_before(rounds[-1] + 1)",
        "sorted(run.chosen_before(rounds[-1] + 1))",
        "tests/cli/test_diversity.py",
    ),
    Fault("cli/diversity_tables.py", "value > high", "value > low", "tests/cli/test_diversity.py"),
]

VERDICT = [
    Fault("evaluation/verdict.py", "100 * ours / opponent", "100 * ours / (ours + opponent)", "tests/evaluation/test_verdict.py"),
    Fault("evaluation/verdict.py", "counts_QO.all(axis=1)", "counts_QO.any(axis=1)", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py",
        "rs_complete=_rs(sums_QS[complete_rows])",
        "rs_complete=_rs(sums_QS)",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "sums_QS[:, 0].sum() / n_judgements",
        "sums_QS[:, 0].sum() / len(questions)",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "ratio_of_sums(sums_QS[:, 0], verdicts.counts_QO[rows].sum(axis=1).astype(np.float64))",
        "ratio_of_sums(sums_QS[:, 0], sums_QS[:, 0])",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "len(scores_OS) == len(verdicts.orders)",
        "len(scores_OS) > 0",
        "tests/evaluation/test_verdict.py",
    ),
    Fault("evaluation/verdict.py", "< SAME", "<= 0", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py",
        "scores_S[0] > scores_S[1] else",
        "scores_S[0] < scores_S[1] else",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "_outcome(scores) for scores in scores_OS",
        "_outcome(means_S) for scores in scores_OS",
        "tests/evaluation/test_verdict.py",
    ),
    Fault("evaluation/verdict.py", 'counts["tie"] / 2', 'counts["tie"]', "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py", "first - second, confidence", "second - first, confidence", "tests/evaluation/test_verdict.py"
    ),
    Fault("evaluation/verdict.py", "difference(of_first, of_second)", "of_first", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py", "for row in rows.tolist():", "for row in range(len(rows)):", "tests/evaluation/test_verdict.py"
    ),
    Fault("evaluation/judgements.py", "self.scores_QOS, 0.0)", "self.scores_QOS, 1.0)", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict_layouts.py",
        "shown if judgement.order == 0 else shown[::-1]",
        "shown",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault("evaluation/verdict_layouts.py", " and number != UNREADABLE", "", "tests/evaluation/test_verdict_files.py"),
    Fault(
        "evaluation/verdict_files.py",
        "not scale[0] <= score <= scale[1]",
        "not score <= scale[1]",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault("evaluation/verdict_files.py", "scores = (None,) * len(scores)", "pass", "tests/evaluation/test_verdict_files.py"),
    Fault(
        "evaluation/verdict_files.py",
        "None in earlier.scores and None not in scores",
        "True",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault(
        "evaluation/verdict_files.py",
        '[(int(part), "") if part.isdecimal() else (-1, part)',
        "[(-1, part)",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault(
        "evaluation/verdict_table.py",
        "first.counts_QO[pairs_Q2[:, 0]].any(axis=1) & ",
        "",
        "tests/evaluation/test_verdict_table.py",
    ),
    Fault(
        "evaluation/verdict_table.py",
        "headline(second, pairs_Q2[:, 1])",
        "headline(second, pairs_Q2[:, 0])",
        "tests/evaluation/test_verdict_table.py",
    ),
    Fault(
        "evaluation/verdict_table.py", "if interval.low > 0:", "if interval.high > 0:", "tests/evaluation/test_verdict_table.py"
    ),
    Fault("evaluation/answer_lengths.py", ' and ".." not in name.parts', "", "tests/evaluation/test_answer_lengths.py"),
    Fault(
        "evaluation/bootstrap.py", "high, low = value - error", "low, high = value + error", "tests/evaluation/test_bootstrap.py"
    ),
    Fault(
        "evaluation/bootstrap.py",
        "(above_Q - ratio_B[:, None] * below_Q)",
        "(above_Q - below_Q)",
        "tests/evaluation/test_bootstrap.py",
    ),
    Fault("evaluation/bootstrap.py", "/ error_B[has_spread]", "/ error", "tests/evaluation/test_bootstrap.py"),
    Fault(
        "evaluation/length_control.py",
        "np.tanh(delta_Q / delta_Q.std())",
        "np.tanh(delta_Q * 0)",
        "tests/evaluation/test_length_control.py",
    ),
    Fault("evaluation/length_control.py", " - RIDGE * phi_B", "", "tests/evaluation/test_length_control.py"),
    Fault(
        "evaluation/length_control.py",
        "[[c_B, -b_B], [-b_B, a_B]]",
        "[[c_B, b_B], [b_B, a_B]]",
        "tests/evaluation/test_length_control.py",
    ),
]
PARTS = {
    "selection": SELECTION,
    "loop": LOOP,
    "overlap": OVERLAP,
    "diversity": DIVERSITY,
    "verdict": VERDICT,
    "judge": JUDGE,
    "heldout": HELDOUT,
}


def outcome(fault: Fault, folder: Path) -> str:
    """noticed, NOT NOTICED, or endless: the tests did not end in a quarter of an hour, which whoever waits for them notices."""


JUDGE = [
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
        "evaluation/judge/client.py",
        "text = text.replace(self._secret, STRUCK_OUT) if self._secret else text",
        "text = str(text)",
        "tests/evaluation/judge/test_client.py",
    ),
    Fault("evaluation/judge/client.py", "max_retries=0", "max_retries=1", "tests/evaluation/judge/test_client.py"),
    Fault("evaluation/judge/asking.py", "self.n_failed_in_a_row = 0\n", "pass\n", "tests/evaluation/judge/test_asking.py"),
    Fault("evaluation/judge/asking.py", "used = most\n", "used = Tokens()\n", "tests/evaluation/judge/test_asking.py"),
    Fault(
        "evaluation/judge/asking.py",
        "self.pace.pause(seconds)",
        "await asyncio.sleep(seconds)",
        "tests/evaluation/judge/test_asking.py",
    ),
    Fault(
        "evaluation/judge/asking.py",
        "while self.queue and not self.asked.stopped_by",
        "while self.queue",
        "tests/evaluation/judge/test_asking.py",
    ),
    Fault("evaluation/judge/verdicts.py", "judgement.ours_first(scores)", "scores", "tests/evaluation/judge/test_verdicts.py"),
HELDOUT = [
    Fault("holdout.py", "np.minimum(n_G - 1, may_G)", "np.minimum(n_G, may_G)", "tests/test_holdout.py"),
    Fault("holdout.py", "least_G = np.minimum(room_G, 1)", "least_G = np.minimum(room_G, 0)", "tests/test_holdout.py"),
    Fault("holdout.py", "room_G - least_G, least_G)", "room_G - least_G)", "tests/test_holdout.py"),
    Fault("holdout.py", "dtype=np.int64), seed)", "dtype=np.int64), 0)", "tests/test_holdout.py"),
    Fault("holdout.py", "may_C & (group_C == group)", "group_C == group", "tests/test_holdout.py"),
    Fault("holdout.py", "return held, barred", "return held, rows", "tests/test_holdout.py"),
    Fault("opening.py", 'np.union1d(lists["exclude"], barred)', 'lists["exclude"]', "tests/test_holdout.py"),
    Fault(
        "evaluation/per_token.py",
        "by_group.values()) / len(by_group)",
        "by_group.values())",
        "tests/evaluation/test_per_token.py",
    ),
    Fault("evaluation/per_token.py", "key=lambda name: by_group[name]", "key=str", "tests/evaluation/test_per_token.py"),
    Fault("stopping.py", "metrics[-1 - stop.rounds :]", "metrics[-stop.rounds :]", "tests/test_stopping.py"),
    Fault("stopping.py", "move > stop.share", "move >= stop.share", "tests/test_stopping.py"),
    Fault("stopping.py", "abs(value - known[0])", "(known[0] - value)", "tests/test_stopping.py"),
    Fault("stopping.py", "spent >= limit", "spent > limit", "tests/test_stopping.py"),
    Fault("stopping.py", "for one in metrics for bill", "for one in metrics[-1:] for bill", "tests/test_stopping.py"),
    Fault("gauges.py", "1, selectable=selectable", "1", "tests/test_gauges.py"),
    Fault("gauges.py", "[np.sort(chosen)]", "", "tests/test_gauges.py"),
    Fault("stages.py", "self.run.chosen_before(at + 1)", "self.run.chosen_before(at)", "tests/test_loop_stops.py"),
    Fault("stages.py", "for each in (index - 1, index)", "for each in (index,)", "tests/test_loop_stops.py"),
    Fault("stages.py", "if self.run.is_done(index + 1):", "if False:", "tests/test_loop_stops.py"),
    Fault("stages.py", "(index - 1, None), (index", "(index", "tests/test_loop_stops.py"),
    Fault("opening.py", "needs |= {Signal.EMBEDDING}", "needs |= set()", "tests/test_loop_stops.py"),
    Fault("run_folder.py", '    "stop",\n', "", "tests/test_loop_stops.py"),
    Fault("yardstick.py", "chosen_before(_index(name) + 1)", "chosen_before(_index(name))", "tests/test_yardstick.py"),
    Fault("yardstick.py", "if name == BASE or run.model_dir", "if run.model_dir", "tests/test_yardstick.py"),
    Fault("yardstick.py", "held.pool.positions)", "None)", "tests/test_yardstick.py"),
    Fault("evaluation/tasks.py", "if self.key(name) not in known", "if name not in known", "tests/evaluation/test_tasks.py"),
]


def notices(fault: Fault, folder: Path) -> bool:
    file = folder / "src" / "diverseevol" / fault.file
    sound = file.read_text("utf-8")
    assert sound.count(fault.old) >= 1, f"{fault.file} has no {fault.old!r} any more: mend this list"
    file.write_text(sound.replace(fault.old, fault.new, 1), "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", *fault.tests.split()]
    try:
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=900)
    except subprocess.TimeoutExpired:
        return "endless"
    finally:
        file.write_text(sound, "utf-8")
    assert ended.returncode in (0, 1), ended.stdout.decode()[-2000:]
    return "noticed" if ended.returncode == 1 else "NOT NOTICED"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(PARTS))
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    faults = PARTS[options.only] if options.only else [fault for part in PARTS.values() for fault in part]
    n_unnoticed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("src", "tests", "examples", "configs", "pyproject.toml"):
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, folder / part)
        for fault in faults:
            started = time.perf_counter()
            found = "" if options.list else outcome(fault, folder)
            n_unnoticed += found == "NOT NOTICED"
            said = f"{found} in {time.perf_counter() - started:.0f} s: " if found else ""
            print(f"{said}{fault.file}: {fault.old!r} → {fault.new!r}", flush=True)
    if not options.list:
        print(f"{len(faults) - n_unnoticed} of {len(faults)} faults noticed")
    return 1 if n_unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
