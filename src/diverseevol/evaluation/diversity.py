"""How diverse a chosen subset is; the score itself lies in vendi.py, below selection, which draws sets by it."""

from ..vendi import vendi_score

__all__ = ["vendi_score"]
