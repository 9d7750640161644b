"""Vectors in files: rows read on demand with bounded memory, from .npy, safetensors, Parquet and folders of shards."""

from .file_vectors import FileVectors
from .open import open_vectors

__all__ = ["FileVectors", "open_vectors"]
