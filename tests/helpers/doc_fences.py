"""The fences of README.md and docs/: what is in them, in which language, and why one is not run."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference")]
MARK = re.compile(r"<!-- *(not run|not a config|format|file): *(.+?) *-->")
PROGRAMS = ("diverseevol", "torchrun", "accelerate", "make", "pip", "git", "python")
"""An indented block whose first line begins with one of these holds commands, too."""


@dataclass(frozen=True)
class Fence:
    """A block of code; `mark` and `reason` are those of an HTML comment right before it."""

    page: str
    line: int
    language: str
    text: str
    mark: str = ""
    reason: str = ""

    def __str__(self):
        return f"{self.page}:{self.line}"


def fences_of(file):
    """Every fence and every indented block of commands of a Markdown file."""
    found, mark = [], None
    for token in MarkdownIt("commonmark").parse(file.read_text("utf-8")):
        at = (str(file.relative_to(ROOT)), token.map[0] + 1) if token.map else None
        if token.type == "html_block":
            mark = MARK.search(token.content)
            continue
        if token.type == "fence":
            found.append(Fence(*at, token.info.split(" ")[0], token.content, *(mark.groups() if mark else ())))
        elif token.type == "code_block" and token.content.split()[0] in PROGRAMS:
            found.append(Fence(*at, "sh", token.content, *(mark.groups() if mark else ())))
        mark = None
    return found


def inline_commands():
    """(page, code) of every inline code that begins with the program's name."""
    spans = []
    for file in PAGES:
        for token in MarkdownIt("commonmark").enable("table").parse(file.read_text("utf-8")):
            codes = [child.content for child in token.children or () if child.type == "code_inline"]
            spans += [(str(file.relative_to(ROOT)), code) for code in codes if code.startswith("diverseevol ")]
    return spans


def commands_of(text):
    """The commands of a shell text as lists of words: comments and redirections off, lines that end in a backslash joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        for part in re.split(r"\s&&\s", line):
            words = shlex.split(part, comments=True)
            while words and (words[0] in ("export", "srun") or re.match(r"^[A-Z_]+=", words[0])):
                words = [] if words[0] == "export" else words[1:]
            if words:
                yield words


def arguments_of(words):
    """What the program is given, whether started by itself or by a launcher; None where it is another program."""
    is_launched = words[0] in ("torchrun", "accelerate") and "-m" in words
    at = words.index("-m") + 1 if is_launched else 0
    return words[at + 1 :] if words[at] == "diverseevol" else None


FENCES = [fence for file in PAGES for fence in fences_of(file)]
