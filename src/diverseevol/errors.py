"""The exception tree: every error that a user can cause or must act on.

Each class is also the builtin it is, so `except ValueError` keeps working for people who do not know our names. A message
says what was asked, what was found and what to do, in one or two lines; the command line prints it and exits with 1.

    DiverseEvolError
    ├── ConfigError            (ValueError)         a key, a value or a combination in the configuration
    ├── PoolError              (ValueError)         the instruction data
    │   ├── SourceNotFoundError (FileNotFoundError) a file, a folder or a Hub id that is not there
    │   ├── UnknownFormatError                      rows that no known format describes
    │   └── BadRowsError                            more bad rows than `pool.max_bad` allows
    ├── PromptError            (ValueError)         a template that cannot render a sample, or masks it wrongly
    ├── ModelError             (RuntimeError)       a model or tokenizer that cannot be loaded, saved or trusted
    ├── TrainError             (RuntimeError)       a training run, ours or the user's own command, that failed
    ├── EmbedError             (RuntimeError)       an embedding pass that failed
    │   └── NonFiniteError                          NaN or infinite values, with the ids of the rows
    ├── SelectionError         (ValueError)         a selection that cannot be made
    │   ├── PoolExhaustedError                      more picks asked for than selectable rows are left
    │   └── UnknownStrategyError                    a strategy name that nobody registered
    ├── QuestionsError         (ValueError)         a benchmark's questions that cannot be found or read
    ├── AnswersError           (ValueError)         files of answers that cannot be read or do not belong together
    ├── JudgeError             (RuntimeError)       a judge that cannot be asked, or no further
    │   └── BudgetSpentError                        the next request may cost more than what is left of the budget
    ├── VerdictError           (ValueError)         files of verdicts that cannot be scored
    └── RunFolderError         (RuntimeError)       the run folder: locked, changed, incomplete, not writable
        ├── RunLockedError                          another process works in the folder
        └── RunChangedError                         the configuration, the pool or the model is not the run's own
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class DiverseEvolError(Exception):
    """The root of the tree; the command line turns it into a short message and exit status 1."""


class ConfigError(DiverseEvolError, ValueError):
    """A key, a value or a combination in the configuration is not usable."""


class PoolError(DiverseEvolError, ValueError):
    """The instruction data is not usable."""


class SourceNotFoundError(PoolError, FileNotFoundError):
    """A file, a folder or a Hub id is not there."""


class UnknownFormatError(PoolError):
    """No known format describes the rows."""


class BadRowsError(PoolError):
    """More rows are bad than `pool.max_bad` allows."""


class PromptError(DiverseEvolError, ValueError):
    """A template cannot render a sample, or would train on the wrong tokens."""


class ModelError(DiverseEvolError, RuntimeError):
    """A model or a tokenizer cannot be loaded, saved or trusted."""


class TrainError(DiverseEvolError, RuntimeError):
    """A training run failed, ours or the user's own command."""


class EmbedError(DiverseEvolError, RuntimeError):
    """The embedding pass failed."""


class NonFiniteError(EmbedError):
    """A signal holds NaN or infinite values; the message names the ids.

    Attributes:
        rows: The rows of vectors that hold them, in ascending order; empty where it is something else.
    """

    def __init__(self, message: str, rows: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


class SelectionError(DiverseEvolError, ValueError):
    """The asked-for selection cannot be made."""


class PoolExhaustedError(SelectionError):
    """More picks are asked for than selectable rows are left."""


class UnknownStrategyError(SelectionError):
    """Nobody registered a strategy of that name."""


class QuestionsError(DiverseEvolError, ValueError):
    """A benchmark's questions cannot be found or read."""


class AnswersError(DiverseEvolError, ValueError):
    """Answers cannot be read, or do not belong to the same questions."""


class JudgeError(DiverseEvolError, RuntimeError):
    """A judge cannot be asked, or no further."""


class BudgetSpentError(JudgeError):
    """The next request may cost more than what is left of the budget."""


class VerdictError(DiverseEvolError, ValueError):
    """A file of verdicts cannot be scored, or not together with the others."""


class RunFolderError(DiverseEvolError, RuntimeError):
    """The run folder is locked, changed, incomplete or not writable."""


class RunLockedError(RunFolderError):
    """Another process works in the run folder."""


class RunChangedError(RunFolderError):
    """The configuration, the pool or the model differs from the one the run was started with."""


REFUSALS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    re.error,
)
"""What libraries raise over a value or a file that they do not take."""
