"""The report: run folders in, one self-contained HTML page out. Reads files only."""

from .write import write_report

__all__ = ["write_report"]
