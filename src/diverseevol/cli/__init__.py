"""The command line: the only place that prints.

One file a group of verbs; each loads what it needs when it is called.
"""

from .app import main

__all__ = ["main"]
