import json
import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diverseevol import evolve, load_config
from diverseevol.base.progress import LineWatch
from diverseevol.data import Pool
from diverseevol.data.holdout import draw_holdout
from diverseevol.data.ids import content_hash
from diverseevol.errors import ConfigError
from diverseevol.run.status import explain_sample

QUICK = (
    "train.learning_rate=1e-3",
    "train.num_train_epochs=1",
    "train.per_device_train_batch_size=8",
    "train.total_batch_size=8",
    "prompt.max_length=256",
    "selection.strategy=random",
)


def ids_of(contents):
    """Ids as the pool gives them: a hash a content, a counter for copies."""
    seen = Counter()
    ids = []
    for content in contents:
        name = f"{content_hash({'text': content}):016x}"
        ids.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return np.array(ids)


def config(made_model, pool_file, out, *words, **options):
    given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 1, "n_init": 10, "n_new": 5}
    return load_config(None, (*QUICK, *words), options=given | options)


def write(file, records):
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


POOLS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc")), min_size=2, max_size=80)


@settings(deadline=None, max_examples=60)
@given(POOLS, st.integers(0, 9), st.integers(1, 12), st.randoms())
def test_the_split_follows_the_contents_not_their_order(rows, seed, size, shuffler):
    group_of = dict(rows)  # equal records have equal columns
    rows = [(content, group_of[content]) for content, _ in rows]
    ids, groups = ids_of([content for content, _ in rows]), [group for _, group in rows]
    if size > len(group_of) - len(set(groups)):
        with pytest.raises(ConfigError, match="can be held out"):
            draw_holdout(ids, size, seed, groups)
        return
    drawn = draw_holdout(ids, size, seed, groups)
    assert len(drawn) == size == len({rows[row][0] for row in drawn})  # no content twice
    assert drawn.tolist() == sorted(drawn.tolist())
    n_of, taken_of = Counter(group_of.values()), Counter(rows[row][1] for row in drawn)
    assert all(taken_of[group] < n_of[group] for group in n_of)  # one of each stays
    if size >= sum(n > 1 for n in n_of.values()):
        assert all(taken_of[group] >= 1 for group in n_of if n_of[group] > 1)
    shuffled = shuffler.sample(rows, len(rows))
    again = draw_holdout(ids_of([content for content, _ in shuffled]), size, seed, [group for _, group in shuffled])
    assert set(ids_of([content for content, _ in shuffled])[again]) == set(ids[drawn])


def largest_remainders(n, counts):
    """Hamilton's method, word for word, in fractions."""
    exact = {group: Fraction(n * count, sum(counts.values())) for group, count in counts.items()}
    given_ = {group: int(due) for group, due in exact.items()}
    left = sorted(exact, key=lambda group: (given_[group] - exact[group], group))
    for group in left[: n - sum(given_.values())]:
        given_[group] += 1
    return given_


@pytest.mark.parametrize("n", [7, 30, 31, 99, 150])
def test_groups_give_in_proportion_by_largest_remainders(n):
    counts = {"a": 250, "b": 131, "c": 77, "d": 42}
    groups = [group for group, count in counts.items() for _ in range(count)]
    drawn = draw_holdout(ids_of(range(500)), n, 3, groups)
    assert Counter(groups[row] for row in drawn) == largest_remainders(n, counts)


def test_a_share_and_a_pool_that_grows():
    ids = ids_of(range(200))
    drawn = draw_holdout(ids, 0.1, 5)
    assert len(drawn) == 20
    assert drawn.tolist() == draw_holdout(ids, 20, 5).tolist()
    assert len(draw_holdout(ids, 0.001, 5)) == 1
    grown = draw_holdout(ids_of(range(220)), 20, 5)
    assert len(set(grown.tolist()) & set(drawn.tolist())) >= 14  # the smallest numbers among more


def test_listed_rows_and_their_copies_are_not_drawn_and_the_rest_of_the_split_stays():
    ids = ids_of([*range(60), *range(60)])
    drawn = draw_holdout(ids, 10, 1)
    assert (drawn < 60).all()  # the first of equal contents
    unlisted = draw_holdout(ids, 10, 1, listed_rows=drawn[:1] + 60)
    assert drawn[0] not in unlisted
    assert set(drawn[1:].tolist()) < set(unlisted.tolist())
    others = np.setdiff1d(np.arange(60), drawn)[:20]
    assert draw_holdout(ids, 10, 1, listed_rows=others).tolist() == drawn.tolist()


def test_too_many_are_refused_with_what_there_is():
    ids = ids_of([0, 1, 2, 3, 3])
    with pytest.raises(
        ConfigError,
        match=r"pool.holdout asks for 4 rows, but of the pool's 5 rows with 4 different contents only 3 can be held out. Lower",
    ):
        draw_holdout(ids, 4, 0)
    with pytest.raises(
        ConfigError, match=r"only 2 can be held out \(of each of the 2 groups one stays\).*another pool.holdout_by"
    ):
        draw_holdout(ids, 3, 0, ["a", "a", "a", "b", "b"])
    assert draw_holdout(ids, 3, 0).size == 3


@pytest.fixture(scope="module")
def doubled(pool_file, tmp_path_factory):
    """A part of the pool, with every third row a second time."""
    rows = lines(pool_file)[:60]
    return write(tmp_path_factory.mktemp("doubled") / "pool.jsonl", [*rows, *rows[::3]])


@pytest.fixture(scope="module")
def held(made_model, doubled, tmp_path_factory):
    """A run that takes off a part and then chooses every row it can but ten."""
    out = tmp_path_factory.mktemp("runs") / "a"
    words = ("pool.holdout=15", "pool.holdout_by=skill")
    settings_ = config(made_model, doubled, out, *words, n_init=10, n_new=40)
    said = []
    rounds = list(evolve(settings_, LineWatch(said.append)))
    assert len([line for line in said if line.startswith("held out: 15 rows")]) == 1
    return out, settings_, rounds


def test_a_held_out_row_or_a_copy_of_one_is_never_chosen(held):
    out, _, rounds = held
    pool = Pool.open(out / "pool")
    rows = pool.rows_of((out / "heldout/ids.txt").read_text().split())
    copies = (out / "heldout/copies.txt").read_text().split()
    contents = {pool.id(row)[:16] for row in rows.tolist()}
    assert len(rows) == len(contents) == 15
    assert copies
    assert {name[:16] for name in copies} < contents
    chosen = [name for round_ in rounds for name in round_.chosen_ids]
    assert len(chosen) == 50
    assert not {name[:16] for name in chosen} & contents
    subset = lines(out / "rounds/01/subset.jsonl")
    assert not {record["_id"][:16] for record in subset} & contents
    assert explain_sample(out, str(rows[0]))["why"] == "never chosen: it is held out (pool.holdout)"
    assert explain_sample(out, copies[0])["why"] == "never chosen: it is a copy of a held-out row (pool.holdout)"
    records = lines(out / "heldout/rows.jsonl")
    assert [record.pop("_id") for record in records] == pool.ids[rows].tolist()
    assert records == [pool.record(row) for row in rows.tolist()]


def test_its_loss_is_that_of_the_same_rows_from_a_file(held, made_model, doubled, tmp_path):
    """One run takes the rows off, the other gets them as heldout.path from a pool without them: the same losses."""
    out, _, rounds = held
    barred = {name[:16] for file in ("ids.txt", "copies.txt") for name in (out / "heldout" / file).read_text().split()}
    records = [record for record in lines(doubled) if f"{content_hash(record):016x}" not in barred]
    write(tmp_path / "pool.jsonl", records)
    chosen = [name for round_ in rounds for name in round_.chosen_ids]
    pool = Pool.read(tmp_path / "pool.jsonl")
    (tmp_path / "first.txt").write_text("\n".join(map(str, pool.rows_of(chosen[:10]).tolist())))
    words = (
        f"heldout.path={out / 'heldout/rows.jsonl'}",
        "heldout.group=skill",
        f"selection.seed_subset={tmp_path / 'first.txt'}",
    )
    other = next(iter(evolve(config(made_model, tmp_path / "pool.jsonl", tmp_path / "b", *words))))
    ours, theirs = rounds[0].metrics["heldout"], other.metrics["heldout"]
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-6)
    assert ours["by_group"] == pytest.approx(theirs["by_group"], rel=1e-6)
    assert ours["perplexity"] == pytest.approx(np.exp(ours["loss"]))
    assert ours["balanced_loss"] == pytest.approx(np.mean(list(ours["by_group"].values())))
    assert ours["by_group"][ours["worst_group"]] == max(ours["by_group"].values())


def test_a_resumed_run_keeps_its_split_and_strategies_share_it(held, made_model, doubled, tmp_path):
    out, settings_, rounds = held
    before, said = (out / "heldout/ids.txt").stat().st_mtime_ns, []
    resumed = evolve(settings_, LineWatch(said.append))
    assert [round_.chosen_ids for round_ in resumed] == [round_.chosen_ids for round_ in rounds]
    assert said == []
    assert (out / "heldout/ids.txt").stat().st_mtime_ns == before
    rows = lines(doubled)
    random.Random(3).shuffle(rows)
    write(tmp_path / "pool.jsonl", rows)
    words = ("pool.holdout=15", "pool.holdout_by=skill", "selection.strategy=k_center")
    first = next(iter(evolve(config(made_model, tmp_path / "pool.jsonl", tmp_path / "b", *words))))
    assert first.n_chosen == 10
    assert set((tmp_path / "b/heldout/ids.txt").read_text().split()) == set((out / "heldout/ids.txt").read_text().split())
    with pytest.raises(Exception, match=r"cannot resume .* with another pool.holdout \(15 then, 16 now\)"):
        next(evolve(config(made_model, doubled, out, "pool.holdout=16", "pool.holdout_by=skill", n_init=10, n_new=40)))


def test_what_is_wrong_is_said_before_a_model_is_loaded(made_model, pool_file, tmp_path, monkeypatch):
    monkeypatch.setattr("diverseevol.models.load.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    cases = [
        (("pool.holdout=200",), r"asks for 200 rows, but of the pool's 200 rows .* only 197 can be held out"),
        (("pool.holdout=190",), r"the schedule chooses 15 rows, the pool has \d+ good ones \(19\d excluded\)"),
        (("pool.holdout=20", "pool.holdout_by=skil"), r"pool.holdout_by needs a column 'skil', which no record has"),
        ((f"heldout.path={pool_file}", "pool.holdout=3"), "heldout.path and pool.holdout both name held-out rows"),
        (("pool.holdout=0",), "pool.holdout is 0: give a whole number of rows, or a share of the pool below 1"),
        (("pool.holdout=true",), "pool.holdout is True: give a whole number"),
        (("pool.holdout_by=skill",), "set pool.holdout, too"),
    ]
    for index, (words, message) in enumerate(cases):
        with pytest.raises(ConfigError, match=message):
            next(evolve(config(made_model, pool_file, tmp_path / str(index), *words)))
