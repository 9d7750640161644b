"""A model and a pool small enough to work everything out by hand."""

import pytest

from diverseevol import load_config
from diverseevol.plan import Facts, Lengths, ModelShape

SHAPE = dict(
    name="m", n_all=100, n_computing=80, n_decoder=60, n_head=20, n_layers=2, width=4, n_heads=1, widest=8, n_vocabulary=5
)


@pytest.fixture
def lengths():
    percentiles = {5: 2, 25: 5, 50: 9, 75: 12, 95: 18, 100: 20}
    return Lengths(1000, 500, 10.0, 120.0, 4.0, percentiles, 0.01, 0.0, 16.0)


@pytest.fixture
def shape():
    return ModelShape(**SHAPE, itemsize=2, n_adapter=10)


@pytest.fixture
def facts(lengths, shape):
    return Facts(lengths, shape, shape, lengths, pool_bytes=777)


@pytest.fixture
def config():
    def make(*words, **options):
        given = {"pool.path": "p", "model": "m", "out": "o", "rounds": 2, "n_init": 10, "n_new": 20}
        return load_config(None, words, options=given | options)

    return make
