"""The embedding pass: one forward pass of a model over the pool, one float32 vector a row.

- api: embed_tokens, embed_pool, open_embeddings: what other units call
- shards: the pool in pieces by length, the pieces in batches, how large a batch may be
- encoder: a model made ready for the pass: the decoder without its head, in evaluation mode, in the pass's dtype
- workers: the batches through the encoder: worker threads or lockstep, halving when memory runs out
- store: the file under way, its finished pieces, the finished file
- report: what the pass did and cost
"""

from .api import embed_pool, embed_tokens, open_embeddings
from .report import EmbedReport
from .shards import TokenRows

__all__ = ["EmbedReport", "TokenRows", "embed_pool", "embed_tokens", "open_embeddings"]
