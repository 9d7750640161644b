"""From samples to token ids and loss masks on disk, made once a run and memory-mapped ever after.

encoding   segments of text → ids and mask        store      the blocks on disk, opened as `Tokens`
build      a whole pool, sharded and resumable    describe   a row as people read it
"""

from .build import build_tokens
from .describe import BORDER, describe
from .encoding import Encoded, Encoder, make_prompter
from .store import Tokens

__all__ = ["BORDER", "Encoded", "Encoder", "Tokens", "build_tokens", "describe", "make_prompter"]
