"""The sliding window against json.loads of the whole text, with windows so small that every record is cut."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diverseevol.errors import PoolError
from diverseevol.pool import json_stream
from diverseevol.pool.json_stream import Window, array_items, list_in_object, shape_of_object, values

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30)
records = st.lists(
    st.dictionaries(st.text(max_size=5), st.recursive(scalars, lambda inner: st.lists(inner, max_size=3))), max_size=6
)


def window(text, chunk):
    json_stream.CHUNK = chunk
    return Window(io.StringIO(text, newline=""), "here.json")


@pytest.fixture(autouse=True)
def _chunk_restored():
    before = json_stream.CHUNK
    yield
    json_stream.CHUNK = before


@settings(max_examples=150, deadline=None)
@given(records, st.integers(1, 40), st.sampled_from([None, 1, 3]), st.booleans())
def test_an_array_reads_as_json_loads_does_and_keeps_every_character(items, chunk, indent, ascii_only):
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only)
    pieces = list(array_items(window(text, chunk)))
    assert [piece.value for piece in pieces] == items
    at = 0
    for piece in pieces:
        at = text.index(piece.text, at)
        assert piece.line == 1 + text.count("\n", 0, at)
        assert json.loads(piece.text) == piece.value
        at += len(piece.text)


@settings(max_examples=60, deadline=None)
@given(records, st.integers(1, 40), st.sampled_from(["\n", " ", "\r\n\r\n", ",\n"]))
def test_values_one_after_the_other(items, chunk, between):
    text = between.join(json.dumps(item, indent=2) for item in items)
    assert [piece.value for piece in values(window(text, chunk))] == items


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_number_cut_by_the_window_is_whole(chunk):
    text = '{"version": 123456, "data": [{"a": 12345}, {"a": 2}], "end": true}'
    assert [piece.value for piece in list_in_object(window(text, chunk), "data")] == [{"a": 12345}, {"a": 2}]


@pytest.mark.parametrize("chunk", [5, 1000])
def test_the_records_before_a_break_come_and_the_break_is_named(chunk):
    text = '[\n {"a": 1},\n {"a": 2},\n {"a": oops},\n {"a": 4}]'
    items = array_items(window(text, chunk))
    assert [next(items).value, next(items).value] == [{"a": 1}, {"a": 2}]
    with pytest.raises(
        PoolError, match=r"here.json breaks off as JSON at line 4, column 8: Expecting value; 2 values before it are whole"
    ):
        next(items)


@pytest.mark.parametrize("text", ['[{"a": "b', '[{"a": 1}', '[{"a": 1},', "[", '[{"a": 1} {"a": 2}]', '[{"a": tru'])
def test_an_array_that_stops_early_is_an_error(text):
    with pytest.raises(PoolError, match=r"breaks off as JSON at line 1"):
        list(array_items(window(text, 4)))


def test_a_record_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(json_stream, "LONGEST", 1000)
    with pytest.raises(PoolError, match=r"no record ends within 1,000 characters"):
        list(array_items(window('[{"a": "' + "x" * 5000, 64)))


def test_nesting_too_deep_is_an_error_with_its_line():
    with pytest.raises(PoolError, match=r"line 2.*nested too deeply"):
        list(array_items(window("[\n" + "[" * 100_000, 1 << 20)))


@pytest.mark.parametrize("chunk", [1, 9, 1000])
def test_the_shape_of_an_object(chunk):
    text = '{"a": [{}, {}], "b": [1, {}], "c": [], "d": {"e": [{}]}, "f": [ {"g": [{}]} ]} '
    assert shape_of_object(window(text, chunk)) == (list("abcdf"), ["a", "f"])
