"""Bars on a terminal, drawn by rich into a string as wide as the terminal would be."""

import io
import re

import pytest
from rich.console import Console

from diverseevol.cli.watch import BarWatch, bar_width, wrapped


@pytest.fixture(params=[80, 120])
def terminal(request):
    return Console(file=io.StringIO(), force_terminal=True, width=request.param, color_system=None, legacy_windows=False)


def frames(console):
    """What stood on each line that was ever drawn, without the codes that move the cursor."""
    text = re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", console.file.getvalue())
    return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]


def test_bars_stay_on_their_line_and_leave_nothing(terminal):
    watch = BarWatch(terminal)
    with watch.task("distances to the chosen", 52_002_000, "rows") as task:
        task.advance(26_001_000)
        task.about = "[bold]loss 1.2345[/bold]" * 9
        watch.progress.refresh()
        watch.note("a note [not markup]")
    drawn = frames(terminal)
    assert max(map(len, drawn)) <= terminal.width
    assert "a note [not markup]" in drawn
    shown = [line for line in drawn if "26.0M of 52.0M rows (50%)" in line]
    assert shown
    assert shown[-1].startswith("  distances to the chosen ━")
    assert shown[-1].endswith("…")
    assert watch.progress is None
    assert terminal.file.getvalue().endswith("\r\x1b[2K\x1b[?25h\r")  # at last the bar's line is wiped and the cursor is back


def test_a_bar_inside_another_stands_below_it_in_one_display(terminal):
    watch = BarWatch(terminal)
    with watch.task("judging", 4, "judgements") as outer:
        display = watch.progress
        with watch.task("select", None, "picks") as inner:
            assert watch.progress is display
            inner.total = 10
            inner.skip(4)
            inner.advance()
            outer.advance(3)
            display.refresh()
            assert [task.description for task in display.tasks] == ["  judging", "  select"]
        assert [task.description for task in display.tasks] == ["  judging"]
    drawn = frames(terminal)
    halves = 2 * bar_width(terminal.width)  # a bar is drawn in halves of a letter
    for words, share in (("  judging X 3 of 4 judgements (75%)", 0.75), ("  select  X 5 of 10 picks (50%)", 0.5)):
        n_halves = int(share * halves)
        bar = "━" * (n_halves // 2) + "╸" * (n_halves % 2)
        assert words.replace("X", bar.ljust(halves // 2)) in [line.partition(",")[0] for line in drawn]


def test_after_an_error_the_display_is_gone_and_another_can_be_opened(terminal):
    watch = BarWatch(terminal)
    with pytest.raises(ZeroDivisionError), watch.task("train", 4, "steps"):
        raise ZeroDivisionError
    assert watch.progress is None
    with watch.task("train", 4, "steps") as task:
        task.advance()


@pytest.mark.parametrize(("width", "bar"), [(40, 10), (76, 10), (80, 14), (96, 30), (300, 30)])
def test_the_bar_takes_what_the_words_leave(width, bar):
    assert bar_width(width) == bar


def test_long_lines_break_between_words_and_paths_stay_whole(terminal):
    path = "runs/" + "long/" * 40
    BarWatch(terminal).note("  round 0: " + "train 12 s, " * 12 + path)
    said = terminal.file.getvalue().splitlines()
    assert said[0].startswith("  round 0: train 12 s, ")
    assert all(len(line) <= terminal.width for line in said[:-1])
    assert all(line.startswith("    ") and not line.startswith("     ") for line in said[1:])
    assert said[-1] == f"    {path}"
    assert " ".join(" ".join(said).split()) == "round 0: " + "train 12 s, " * 12 + path


@pytest.mark.parametrize(("text", "lines"), [("", [""]), ("  a b", ["  a b"]), ("a bb", ["a bb"]), ("a bbb", ["a", "    bbb"])])
def test_what_fits_is_left_as_it_is(text, lines):
    assert wrapped(text, 5 if len(text) < 5 else len(text) - (text == "a bbb")) == lines
