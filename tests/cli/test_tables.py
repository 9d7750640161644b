import io

from rich.console import Console

from diverseevol.cli.tables import new_table


def drawn(table, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_figures_stand_at_the_right_on_one_line_and_texts_fold():
    table = new_table(("name", "time spent", "loss"), "A title", texts=("name",))
    table.add_row("a-name-that-is-long", "2 min 05 s", "12.5")
    lines = drawn(table, 34)
    assert lines[0].strip() == "A title"
    assert lines[2] == " name           time spent   loss"
    assert drawn(table, 28)[2] == " name     time spent   loss"  # even where little is left for the text
    assert lines[4:6] == [" a-name-that-   2 min 05 s   12.5", " is-long"]


def test_headings_of_many_figures_may_be_wrapped():
    table = new_table(("model", "a task acc"), texts=("model",), is_wrapped=True)
    table.add_row("round 1", "0.5")
    assert drawn(table, 18)[1:3] == ["           a task", " model        acc"]
