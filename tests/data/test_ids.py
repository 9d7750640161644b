"""Ids follow the content; draws follow the ids and the seed."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diverseevol.data.ids import content_hash, counters, draw, priorities

RECORD = {"instruction": "Grüße", "input": "", "output": "x", "n": [1, 2.5, {"b": True, "a": None}]}


def test_the_hash_is_that_of_the_canonical_json():
    canonical = '{"input":"","instruction":"Grüße","n":[1,2.5,{"b":true}],"output":"x"}'
    assert content_hash(RECORD) == int(hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest(), 16)
    # Pinned: ids are compared across versions.
    assert f"{content_hash(RECORD):016x}" == "19ca4447c37df4e3"


def test_order_of_keys_nulls_and_our_own_id_do_not_count():
    other = {"output": "x", "system": None, "_id": "whatever", **RECORD}
    assert content_hash(other) == content_hash(RECORD)
    assert content_hash({**RECORD, "system": ""}) != content_hash(RECORD)
    assert content_hash({**RECORD, "output": "null"}) != content_hash(RECORD)
    assert content_hash({"a": [None, 1]}) != content_hash({"a": [1]})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5)))
def test_counters_count_what_stands_before(values):
    hashes = np.array(values, dtype=np.uint64)
    assert counters(hashes).tolist() == [values[:at].count(value) for at, value in enumerate(values)]


def test_a_draw_does_not_depend_on_the_order_but_on_the_seed():
    hashes = np.random.default_rng(0).integers(0, 2**63, 1000).astype(np.uint64)
    zeros, group = np.zeros(1000, dtype=np.int64), np.zeros(1000, dtype=np.int32)
    order = np.random.default_rng(1).permutation(1000)

    def kept(at, seed):
        chosen = hashes[at]
        return set(chosen[draw(group, priorities(chosen, zeros, seed), [100], [None], None)].tolist())

    same = kept(np.arange(1000), 0)
    assert len(same) == 100
    assert kept(order, 0) == same
    assert len(kept(order, 1) & same) < 40


@pytest.mark.parametrize(
    ("n_rows", "weights", "expected"),
    [
        ([300, 900], [0.1, 0.3], [300, 900]),
        ([300, 100], [0.1, 0.3], [33, 100]),
        ([1000, 1000, 1000], [1, 2, 4], [250, 500, 1000]),
        ([1000, 10], [None, 1], [1000, 10]),
        ([1000, 10, 10], [None, 3, 1], [1000, 10, 3]),
        ([10, 1000], [1000, 1], [10, 1]),
        ([10, 0], [1, 1], [10, 0]),
    ],
)
def test_sizes_by_weight(n_rows, weights, expected):
    group = np.repeat(np.arange(len(n_rows), dtype=np.int32), n_rows)
    is_kept = draw(group, np.arange(len(group), dtype=np.uint64), [None] * len(n_rows), weights, None)
    assert np.bincount(group[is_kept], minlength=len(n_rows)).tolist() == expected


def test_caps_then_weights_then_the_total():
    group = np.array([0] * 50 + [1] * 100, dtype=np.int32)
    rank = np.arange(150, dtype=np.uint64)[::-1].copy()
    is_kept = draw(group, rank, [20, None], [1, 2], None)
    assert np.flatnonzero(is_kept).tolist() == [*range(30, 50), *range(110, 150)]
    assert np.flatnonzero(draw(group, rank, [20, None], [1, 2], 5)).tolist() == [*range(145, 150)]
