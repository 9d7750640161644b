import json

import pytest

from diverseevol.report.text import plain, script_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("abc\u202edef\u202c", "abc�def�"),
        ("\u200fmark\u2066isolate\u2069\u200b", "�mark�isolate��"),
        ("bell\x07 null\x00 \ud800 half", "bell� null� � half"),
        ("שלום, مرحبا", "שלום, مرحبا"),  # writing from right to left is no attack
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),  # escaping is the page's work
    ],
)
def test_what_cannot_be_seen_becomes_visible(text, shown):
    assert plain(text) == shown


def test_long_texts_are_cut_and_say_how_long_they_were():
    assert plain("a" * 100_000, 50) == "a" * 50 + "… (100,000 characters)"
    assert plain("a" * 50, 50) == "a" * 50
    assert plain("a" * 51, 50) == "a" * 50 + "… (51 characters)"
    assert plain("語" * 30, 50) == "語" * 16 + "… (30 characters)"  # three bytes each, none cut through


def test_json_in_a_script_cannot_end_it():
    value = {"</script><script>alert(1)//": ["<!--", "a & b", "]]>"]}
    text = script_json(value)
    assert not set("<>&") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json(float("nan"))
