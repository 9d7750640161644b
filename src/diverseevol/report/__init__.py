"""The report: run folders in, one self-contained HTML page out, with every chart beside it as CSV and PNG. Reads files only."""

from .write import write_report

__all__ = ["write_report"]
