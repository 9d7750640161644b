"""The embedding pass: one forward pass of a model over the pool, one float32 vector a row, and further numbers a row.

- api: embed_tokens: what other units call
- shards: the pool in pieces by length, the pieces in batches, how large a batch may be
- encoder: a model made ready for the pass: the decoder without its head, in evaluation mode, in the pass's dtype
- head, statistics, formulas: the signals that need logits, from the same states, a part of the vocabulary at a time
- answers: the rows without their prompts
- outer: the pass of a sentence-transformers model over the rows' text, in place of the round's own model
- workers: the batches through the encoder: worker threads or lockstep, halving when memory runs out
- store, rows_file, columns: the files under way, their finished pieces, the finished files
- report: what the pass did and cost
"""

from .api import embed_tokens, open_embeddings
from .columns import open_signals
from .outer import check_outer, embed_texts, load_outer, outer_fingerprint
from .report import EmbedReport
from .shards import TokenRows
from .store import finished_report, is_embedded

__all__ = [
    "EmbedReport",
    "TokenRows",
    "check_outer",
    "embed_texts",
    "embed_tokens",
    "finished_report",
    "is_embedded",
    "load_outer",
    "open_embeddings",
    "open_signals",
    "outer_fingerprint",
]
