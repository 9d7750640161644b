"""The exception tree: every error that a user can cause or must act on.

Each class is also the builtin it is, so `except ValueError` keeps working for people who do not know our
names. A message says what was asked, what was found and what to do, in one or two lines; the command line
prints it and exits with 1.

    DiverseEvolError
    ├── ConfigError            (ValueError)     a key, a value or a combination in the configuration
    ├── PoolError              (ValueError)     the instruction data: a source, its format, its rows
    ├── PromptError            (ValueError)     a template that cannot render a sample, or masks it wrongly
    ├── ModelError             (RuntimeError)   a model or tokenizer that cannot be loaded, tuned or saved
    ├── EmbedError             (RuntimeError)   vectors or signals that cannot be made or read
    │   └── NonFiniteError                      NaN or infinite values, with their rows
    ├── SelectionError         (ValueError)     a selection that cannot be made
    │   └── PoolExhaustedError                  more picks asked for than selectable rows are left
    ├── EvaluationError        (ValueError)     questions, answers, a judge or verdicts
    └── RunFolderError         (RuntimeError)   the run folder: locked, changed, damaged, not writable
"""

from __future__ import annotations

import re
from collections.abc import Sequence


class DiverseEvolError(Exception):
    """The root of the tree; the command line turns it into a short message and exit status 1."""


class ConfigError(DiverseEvolError, ValueError):
    """A key, a value or a combination in the configuration is not usable."""


class PoolError(DiverseEvolError, ValueError):
    """The instruction data is not usable: no such source, no known format, too many bad rows."""


class PromptError(DiverseEvolError, ValueError):
    """A template cannot render a sample, or would train on the wrong tokens."""


class ModelError(DiverseEvolError, RuntimeError):
    """A model or a tokenizer cannot be loaded, tuned, saved or trusted."""


class EmbedError(DiverseEvolError, RuntimeError):
    """Vectors or signals cannot be made or read."""


class NonFiniteError(EmbedError):
    """A signal holds NaN or infinite values; the message names the ids, `rows` the rows of vectors."""

    def __init__(self, message: str, rows: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


class SelectionError(DiverseEvolError, ValueError):
    """The asked-for selection cannot be made."""


class PoolExhaustedError(SelectionError):
    """More picks are asked for than selectable rows are left."""


class EvaluationError(DiverseEvolError, ValueError):
    """Questions, answers or verdicts cannot be read or do not belong together, or a judge cannot be asked."""


class RunFolderError(DiverseEvolError, RuntimeError):
    """The run folder is locked, changed, incomplete, damaged or not writable."""


REFUSALS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError),
    *(OSError, RuntimeError, TypeError, ValueError, re.error),
)
"""What libraries raise over a value or a file that they do not take."""
