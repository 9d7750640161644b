import pytest

from diverseevol.cli.render import show_table


@pytest.fixture
def drawn(capsys, monkeypatch):
    def draw(width, *args, **kwargs):
        monkeypatch.setattr("diverseevol.cli.render.FILE_WIDTH", width)
        show_table(*args, **kwargs)
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return draw


def test_figures_stand_at_the_right_on_one_line_and_texts_fold(drawn):
    given = (("name", "time spent", "loss"), [("a-name-that-is-long", "2 min 05 s", "12.5")])
    lines = drawn(34, *given, title="A [title]", texts=("name",))
    assert lines[0].strip() == "A [title]"
    assert lines[2] == " name           time spent   loss"
    assert drawn(28, *given, title="A title", texts=("name",))[2] == " name     time spent   loss"  # little is left for the text
    assert lines[4:6] == [" a-name-that-   2 min 05 s   12.5", " is-long"]


def test_headings_of_many_figures_may_be_wrapped(drawn):
    lines = drawn(18, ("model", "a task acc"), [("round 1", "0.5"), None], texts=("model",), is_wrapped=True)
    assert lines[1:3] == ["           a task", " model        acc"]
