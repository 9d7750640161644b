import pytest

from diverseevol.data.normal import plain, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is  AI?", "what is ai"),
        ('He said: "No, thanks!"', "he said no thanks"),
        ("Ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("a\n\tb\u00a0c", "a b c"),
        ("STRASSE", "straße"),
        ("cafe\u0301", "café"),
        ("你好。", "你好"),
        ("¿Qué tal?", "qué tal"),
    ],
)
def test_plain_forgets_what_does_not_matter(one, other):
    assert plain(one) == plain(other)


@pytest.mark.parametrize(("one", "other"), [("5-3", "5+3"), ("3.5", "35"), ("a*b", "a/b"), ("f(x)", "fx"), ("he's", "hes")])
def test_plain_keeps_what_does(one, other):
    assert plain(one) != plain(other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What's 3.5-times “X”?", ["what", "s", "3", "5", "times", "x"]),
        ("我喜欢2只猫。", ["我", "喜", "欢", "2", "只", "猫"]),
        ("ΣΊΣΥΦΟΣ", ["σίσυφοσ"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ﬁne", ["fine"]),
        ("?!…", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected
