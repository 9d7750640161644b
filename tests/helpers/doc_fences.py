"""The fences of README.md and docs/: what is in them, in which language, and why one is not run."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARK = re.compile(r"<!-- *(not run|not a config|format|file): *(.+?) *-->")


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


def parts_of(text):
    """(fences, inline code) of a Markdown text; a fence is (line, language, text, *mark)."""
    fences, inline, mark = [], [], ()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        inline += [child.content for child in token.children or () if child.type == "code_inline"]
        if token.type in ("fence", "code_block"):
            fences.append((token.map[0] + 1, token.info.split(" ")[0], token.content, *mark))
        found = MARK.search(token.content) if token.type == "html_block" else None
        mark = found.groups() if found else ()
    return fences, inline


def commands_of(text):
    """The commands of a shell text as lists of words: comments off, lines that end in a backslash joined."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        for part in re.split(r"\s&&\s", line):
            if words := shlex.split(part, comments=True):
                yield words


def arguments_of(words):
    """What the program is given, whether started by itself or by a launcher; None where it is another program."""
    at = words.index("-m") + 1 if words[0] in ("torchrun", "accelerate") and "-m" in words else 0
    return words[at + 1 :] if words[at] == "diverseevol" else None


PARTS = {str(file.relative_to(ROOT)): parts_of(file.read_text("utf-8")) for file in PAGES}
FENCES = [Fence(page, *fence) for page, (fences, _) in PARTS.items() for fence in fences]
INLINE = [(page, code) for page, (_, inline) in PARTS.items() for code in inline if code.startswith("diverseevol ")]
