"""`diverseevol select`: what `select` picks from the array, with ids, into a file; and every mistake said in a line or two."""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from diverseevol.cli.app import app
from diverseevol.errors import ConfigError, DiverseEvolError, NonFiniteError, PoolError, PoolExhaustedError, SelectionError
from diverseevol.selection import Selection, registry, select

N = 60
IDS = [f"{row * 7919 % 10007:016x}" for row in range(N)]


@pytest.fixture
def points(tmp_path):
    points = np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", points)
    return points


@pytest.fixture
def call(tmp_path, monkeypatch, points):
    """Call the verb inside this process, in the vectors' folder; return the lines written, or raise its error."""
    monkeypatch.chdir(tmp_path)

    def call(*words, embeddings="x.npy", n=5, out="picks.jsonl"):
        given = ["select", "--embeddings", embeddings, *(() if n is None else ("--n-new", n)), "--out", out, *words]
        ended = CliRunner().invoke(app, [str(word) for word in given])
        if isinstance(ended.exception, DiverseEvolError):
            assert len(str(ended.exception).splitlines()) <= 2
            raise ended.exception
        assert ended.exit_code == 0, ended.output
        return read(tmp_path / out)

    return call


def read(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def expected(points, chosen, n=5, ids=None, **options):
    picks = select(points, chosen, n, **options)
    lines = []
    for rank, row in enumerate(picks.rows.tolist()):
        line = {"row": row, "rank": rank} | {name: column[rank].item() for name, column in picks.columns.items()}
        if ids:
            line |= {"id": ids[row], "nearest_id": ids[line["nearest_row"]] if line["nearest_row"] >= 0 else None}
        lines.append(line)
    return lines


# --- what is picked


def test_picks_are_those_of_the_array(call, points, tmp_path):
    (tmp_path / "chosen.txt").write_text("5\n\n17\r\n3")
    assert call("--chosen", "chosen.txt") == expected(points, [3, 5, 17])
    assert call("--chosen", "chosen.txt", "metric=cosine", n=9) == expected(points, [3, 5, 17], 9, metric="cosine")
    assert call() == expected(points, [])
    assert call("--chosen", "chosen.txt", "block_rows=9") == expected(points, [3, 5, 17])
    assert not list(tmp_path.glob("*.skipped.jsonl"))


def test_the_seed_decides_a_draw(call, points):
    assert call("--strategy", "random", "--seed", 3) == expected(points, [], strategy="random", seed=3)
    assert call("--strategy", "random", "--seed", 4) == expected(points, [], strategy="random", seed=4)


def test_the_seconds_and_the_picks_are_said_in_one_line_on_stderr(tmp_path, points):
    words = ("select", "--embeddings", tmp_path / "x.npy", "--n-new", 5, "--out", tmp_path / "new" / "p.jsonl")
    ended = subprocess.run([sys.executable, "-m", "diverseevol", *map(str, words)], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert f"Done: k_center picked 5 of 60 × 6 in {tmp_path / 'x.npy'} into {tmp_path / 'new' / 'p.jsonl'}, " in line
    assert read(tmp_path / "new" / "p.jsonl") == expected(points, [])


def test_a_budget_in_tokens_instead_of_a_count(call, points, tmp_path):
    lengths = [10 + row * 13 % 37 for row in range(N)]
    everything = expected(points, [], N)
    spent = np.cumsum([lengths[line["row"]] for line in everything])
    n_fit = int((spent <= 300).sum())
    for name in ("n_tokens", "long"):
        (tmp_path / "columns.jsonl").write_text("".join(json.dumps({name: length}) + "\n" for length in lengths))
        if name == "n_tokens":
            assert call("--columns", "columns.jsonl", "--tokens", 300, n=None) == everything[:n_fit]
    with pytest.raises(SelectionError, match="needs a column 'n_tokens', which is not there. Known: long"):
        call("--columns", "columns.jsonl", "--tokens", 300, n=None)
    for both in (("--n-new", 3, "--tokens", 3), ()):
        ended = CliRunner().invoke(app, ["select", "--embeddings", "x.npy", "--out", "p.jsonl", *map(str, both)])
        assert (ended.exit_code, "give either --n-new or --tokens" in ended.output) == (2, True)


def test_a_killed_call_goes_on_behind_its_picks(call, points, tmp_path, monkeypatch):
    from diverseevol.selection.k_center import KCenter

    plain, n_asked, unfinished = KCenter.traverse, [], tmp_path / "picks.jsonl.unfinished"

    def killed(self, signals, chosen_rows, n_new):
        n_asked.append(n_new)
        for number, pick in enumerate(plain(self, signals, chosen_rows, n_new)):
            if number == 4 and len(n_asked) == 1:
                raise KeyboardInterrupt
            yield pick

    right = expected(points, [], 9)
    monkeypatch.setattr(KCenter, "traverse", killed)
    words = ["select", "--embeddings", "x.npy", "--n-new", "9", "--out", "picks.jsonl"]
    assert CliRunner().invoke(app, words).exit_code == 130
    left = unfinished.read_text()
    unfinished.write_text(left + "[0.5, 1")  # a line that the kill cut off
    assert call(n=9) == right
    assert n_asked == [9, 5]
    assert not unfinished.exists()
    unfinished.write_text(left)
    assert call(n=3) == right[:3]
    assert n_asked == [9, 5]  # four were there
    for words in (("metric=cosine",), ("--chosen", "chosen.txt")):  # of another selection
        unfinished.write_text(left)
        (tmp_path / "chosen.txt").write_text("5\n17\n")
        options = {"metric": "cosine"} if words == ("metric=cosine",) else {}
        assert call(*words) == expected(points, [] if options else [5, 17], **options)
    unfinished.write_text(left)
    np.save(tmp_path / "x.npy", points + np.eye(N, 6, dtype=np.float32))
    assert call() == expected(points + np.eye(N, 6, dtype=np.float32), [])
    np.save(tmp_path / "x.npy", np.full((N, 6), np.nan))
    with pytest.raises(NonFiniteError):
        call()
    assert not unfinished.exists()


# --- ids


@pytest.fixture
def ids_beside(tmp_path):
    (tmp_path / "ids.txt").write_text("".join(f"{name}\n" for name in IDS))


def test_ids_beside_the_vectors_are_written_and_understood(call, points, ids_beside, tmp_path):
    right = expected(points, [3, 5, 17], ids=IDS)
    chosen = {
        "ids.list": "".join(f"{IDS[row]}\n" for row in (17, 3, 5)),
        "rows.list": "3\n17\n5\n",
        "chosen.jsonl": "".join(json.dumps({"id": IDS[row], "row": 999, "rank": 0}) + "\n" for row in (3, 17, 5)),
        "subset.jsonl": "".join(json.dumps({"id": "mine", "text": "a", "_id": IDS[row]}) + "\n" for row in (3, 17, 5)),
        "rows.jsonl": '{"row": 3}\n{"row": 5}\n{"row": 17}\n',
    }
    for name, text in chosen.items():
        (tmp_path / name).write_text(text)
        assert call("--chosen", name) == right, name
    assert call() == expected(points, [], ids=IDS)  # the first has no nearest row, and no id of one


def test_its_own_output_names_what_is_chosen(call, points, ids_beside):
    first = call("--strategy", "random")
    rows = [pick["row"] for pick in first]
    assert call("--chosen", "picks.jsonl", out="more.jsonl") == expected(points, rows, ids=IDS)


def test_ids_may_look_like_row_numbers(call, points, tmp_path):
    names = [str(row + 1) for row in range(N)]
    (tmp_path / "other.txt").write_text("\n".join(names))
    (tmp_path / "chosen.txt").write_text("4\n6\n18\n")
    assert call("--chosen", "chosen.txt", "--ids", "other.txt") == expected(points, [3, 5, 17], ids=names)
    (tmp_path / "chosen.txt").write_text("4\n0\n")
    with pytest.raises(SelectionError, match="chosen.txt line 2: the id '0' is not in other.txt"):
        call("--chosen", "chosen.txt", "--ids", "other.txt")


def test_without_ids_a_jsonl_names_rows(call, points, tmp_path):
    (tmp_path / "chosen.jsonl").write_text(json.dumps({"id": IDS[0], "row": 9}) + "\n")
    assert call("--chosen", "chosen.jsonl") == expected(points, [9])


# --- columns and guards


def quality(kind, values):
    if kind == "csv":
        return "quality,text\n" + "".join(f"{value},a\n" for value in values)
    return "".join(json.dumps({"quality": value, "text": "a"}) + "\n" for value in values)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "signals"])
def test_columns_for_strategies_that_read_them(call, points, tmp_path, kind):
    values = np.random.default_rng(1).random(N).round(3)
    if kind in ("csv", "jsonl"):
        (tmp_path / f"q.{kind}").write_text(quality(kind, values.tolist()))
    else:
        table = pa.table({"id": IDS, "quality": values, "loss": values[::-1]})
        pq.write_table(table, tmp_path / ("q.parquet" if kind == "parquet" else "signals.parquet"))
    given = () if kind == "signals" else ("--columns", f"q.{kind}")
    words = ("--strategy", "quality_diversity", "quality=quality", "mode=product")
    options = dict(strategy="quality_diversity", quality="quality", mode="product", columns={"quality": values})
    assert call(*given, *words) == expected(points, [], **options)


def test_given_columns_come_before_signals_and_signals_fill_in(call, points, tmp_path):
    values = np.arange(N, dtype=np.float64)
    pq.write_table(pa.table({"quality": values[::-1], "loss": values}), tmp_path / "signals.parquet")
    (tmp_path / "q.jsonl").write_text(quality("jsonl", values.tolist()))
    words = ("--strategy", "quality_diversity", "quality=quality", "mode=product", "minimum.loss=10")
    found = call("--columns", "q.jsonl", *words)
    assert [pick["quality"] for pick in found] == [values[pick["row"]] for pick in found]
    assert all(pick["row"] >= 10 for pick in found)
    assert read(tmp_path / "picks.skipped.jsonl") == [{"row": row, "guard": "minimum"} for row in range(10)]
    call("--columns", "q.jsonl", *words[:-1])
    assert not (tmp_path / "picks.skipped.jsonl").exists()


def test_a_column_of_texts_and_holes(call, tmp_path, monkeypatch):
    seen = {}

    class Reads:
        needs = frozenset({"label", "score", "grade"})

        def select(self, signals, chosen_rows, n_new, rng):
            seen.update(signals.columns)
            return Selection(
                np.arange(n_new), {"grade": signals.columns["grade"][:n_new], "score": signals.columns["score"][:n_new]}
            )

    monkeypatch.setitem(registry.BUILT_IN, "reads", ("", ""))
    monkeypatch.setattr(registry, "_load", lambda *_: Reads)
    (tmp_path / "c.csv").write_text("label,score,grade\n" + "1,,a\n" + "2,0.5,b\n" * (N - 1))
    found = call("--columns", "c.csv", "--strategy", "reads", n=2)
    assert found == [{"row": 0, "rank": 0, "grade": "a", "score": None}, {"row": 1, "rank": 1, "grade": "b", "score": 0.5}]
    assert seen["label"].tolist() == [1.0] + [2.0] * (N - 1)
    (tmp_path / "c.jsonl").write_text(
        '{"label": "1", "score": null, "grade": true}\n' + '{"label": null, "score": 2}\n' * (N - 1)
    )
    call("--columns", "c.jsonl", "--strategy", "reads", n=2)
    assert (seen["label"][:2].tolist(), seen["grade"][:2].tolist()) == (["1", ""], ["True", ""])
    assert np.isnan(seen["score"][0])
    assert seen["score"][1] == 2


# --- mistakes


def lines(*texts):
    return "".join(f"{text}\n" for text in texts)


MISTAKES = {
    "strategy": (dict(words=("--strategy", "kcenter"), embeddings="none.npy"), SelectionError, "no strategy is called 'kcenter'. Did you"),
    "option": (dict(words=("metrc=cosine",), embeddings="none.npy"), SelectionError, "has no option 'metrc'.*Did you mean 'metric'"),
    "value": (dict(words=("metric=l1",), embeddings="none.npy"), SelectionError, "metric: Input should be 'euclidean' or 'cosine'; found 'l1'"),
    "folder as out": (dict(out="."), ConfigError, r"--out \. is a folder. Give a file"),
    "file as folder": (dict(out="x.npy/y.jsonl"), ConfigError, "--out x.npy/y.jsonl cannot be written: .*x.npy: Not a directory"),
    "unwritable": (dict(out="/proc/none/y.jsonl"), ConfigError, "--out /proc/none/y.jsonl cannot be written: /proc: "),
    "no file": (dict(embeddings="none.npy"), DiverseEvolError, "no vectors at 'none.npy'"),
    "too many": (dict(n=58, chosen=lines(1, 2, 3)), PoolExhaustedError, "cannot select 58 rows: 57 of the 60 rows of x.npy .* Lower --n-new"),
    "no chosen": (dict(words=("--chosen", "none.txt")), PoolError, "cannot read none.txt: No such file"),
    "no ids": (dict(words=("--ids", "none.txt")), PoolError, "cannot read none.txt: No such file"),
    "few ids": (dict(ids=lines(*IDS[1:])), SelectionError, "ids.txt holds 59 ids for 60 rows. Give the ids of these vectors"),
    "outside": (dict(chosen=lines(1, 60)), SelectionError, r"chosen.txt line 2: row 60 is outside 0..59"),
    "below": (dict(chosen='{"row": -1}'), SelectionError, r"chosen.txt line 1: row -1 is outside 0..59"),
    "twice": (dict(chosen=lines(4, 9, "", 4)), SelectionError, "chosen.txt line 4: row 4 is chosen already in line 1"),
    "unknown id": (dict(chosen=lines(IDS[0], "x"), ids=lines(*IDS)), SelectionError, "line 2: the id 'x' is not in ids.txt"),
    "id without ids": (dict(chosen=lines("x")), SelectionError, "line 1: the id 'x' is no row number, and no ids are known"),
    "JSON id without ids": (dict(chosen='{"id": "x"}'), SelectionError, "line 1: the id 'x' is no row number, and no ids are known"),
    "unknown JSON id": (
        dict(chosen='{"id": "x", "row": 3}', ids=lines(*IDS)), SelectionError, "line 1: the id 'x' is not in ids.txt",
    ),
    "ambiguous": (dict(chosen=lines(IDS[3]), ids=lines(*IDS[:-1], IDS[3])), SelectionError, "ids.txt gives the id .* to the rows 3 and 59"),
    "no JSON": (dict(chosen='{"row": 3'), SelectionError, "chosen.txt line 1 is no JSON"),
    "nothing named": (dict(chosen='{"text": 3}'), SelectionError, "line 1 has neither `row` .a number. nor `id`"),
    "a truth as row": (dict(chosen='{"row": true}'), SelectionError, "line 1 has neither `row`"),
    "no columns": (
        dict(words=("--strategy", "quality_diversity", "quality=q")), SelectionError, "needs a column 'q', which is not there. No columns",
    ),
    "a signal that embed computes": (
        dict(words=("--strategy", "entropy")), SelectionError,
        "needs a column 'paper_entropy', which is not there. No columns are known; --columns gives more, "
        "and `--pool POOL --compute paper_entropy` computes it",
    ),
    "no columns file": (dict(words=("--columns", "none.csv")), SelectionError, "no columns at 'none.csv'"),
    "no such column": (
        dict(words=("--columns", "c.csv", "--strategy", "quality_diversity", "quality=q"), columns="a,b\n1,2\n"),
        SelectionError, "needs a column 'q', which is not there. Known: a, b; --columns gives more",
    ),
    "few records": (
        dict(words=("--columns", "c.csv", "--strategy", "quality_diversity", "quality=b"), columns="a,b\n1,2\n"),
        SelectionError, "c.csv has 1 records for 60 rows",
    ),
    "bad record": (
        dict(words=("--columns", "c.csv", "--strategy", "quality_diversity", "quality=b"), columns="a,b\n1,2,3\n"),
        SelectionError, "c.csv line 2 .row 0.: 3 cells under a header of 2. Repair",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_says_what_to_do_and_leaves_nothing(kind, call, tmp_path):
    given, error, message = MISTAKES[kind]
    words = given.get("words", ())
    for name in ("chosen", "ids", "columns"):
        if name in given:
            (tmp_path / {"chosen": "chosen.txt", "ids": "ids.txt", "columns": "c.csv"}[name]).write_text(given[name])
    if "chosen" in given:
        words = (*words, "--chosen", "chosen.txt")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=message):
        call(*words, **{key: given[key] for key in ("embeddings", "n", "out") if key in given})
    assert sorted(tmp_path.iterdir()) == before


def test_a_word_without_equals_is_wrong_usage(tmp_path, points):
    words = ["select", "--embeddings", str(tmp_path / "x.npy"), "--n-new", "1", "--out", str(tmp_path / "p")]
    assert CliRunner().invoke(app, [*words, "cosine"]).exit_code == 2
    assert CliRunner().invoke(app, [*words[:4], "0", *words[5:]]).exit_code == 2


def test_rows_of_nan_are_named_by_id_where_ids_are_known(call, points, tmp_path):
    points[[7, 40], [0, 3]] = np.nan, np.inf
    np.save(tmp_path / "x.npy", points)
    with pytest.raises(NonFiniteError, match=r"2 rows of the embeddings hold NaN or infinite values: 7, 40\."):
        call()
    (tmp_path / "ids.txt").write_text(lines(*IDS))
    with pytest.raises(NonFiniteError, match=rf"in the embeddings of {IDS[7]} \(row 7\), {IDS[40]} \(row 40\)\. Embed"):
        call()
    points[[3, 40]] = 0.0  # which have no direction, but are finite
    np.save(tmp_path / "x.npy", points)
    with pytest.raises(NonFiniteError, match=rf"in the embeddings of {IDS[7]} \(row 7\)\. Embed"):
        call("metric=cosine")


def test_a_nan_in_a_column_is_not_blamed_on_the_embeddings(call, tmp_path):
    (tmp_path / "ids.txt").write_text(lines(*IDS))
    (tmp_path / "q.jsonl").write_text(quality("jsonl", [None] + [1.0] * (N - 1)))
    with pytest.raises(NonFiniteError, match="the quality 'quality' of 1 rows is NaN"):
        call("--columns", "q.jsonl", "--strategy", "quality_diversity", "quality=quality")


# --- memory, help, processes


def test_help_lists_the_strategies_without_loading_torch():
    code = (
        "import sys\nfrom diverseevol.cli.app import app\n"
        "try: app(['select', '--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout
    assert said.strip().endswith("False")
    words = " ".join(said.split())
    assert "Example: diverseevol select --embeddings X.npy" in words
    assert ", k_center, " in words
    assert "farthest from the mean" in " ".join(words.replace("│", " ").split())


def test_two_processes_write_what_one_writes(tmp_path, points, ids_beside):
    flat = pa.FixedSizeListArray.from_arrays(pa.array(points.reshape(-1)), 6)
    pq.write_table(pa.table({"vector": flat}), tmp_path / "x.parquet")
    (tmp_path / "chosen.txt").write_text(lines(IDS[4], IDS[50]))
    words = ("select", "--embeddings", tmp_path / "x.parquet", "--chosen", tmp_path / "chosen.txt", "--n-new", 9)
    program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "diverseevol"]
    ended = subprocess.run(
        [*program, *map(str, words), "--out", str(tmp_path / "picks.jsonl")],
        capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("Done: k_center picked 9 of 60") == 1
    assert read(tmp_path / "picks.jsonl") == expected(points, [4, 50], 9, ids=IDS)
    assert not list(tmp_path.glob(".*"))
