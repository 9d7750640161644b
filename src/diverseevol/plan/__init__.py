"""What a run will cost, from its configuration, the pool's lengths and the models' shapes: plain arithmetic, without torch.

facts      what is known of the pool and the models        work       tokens and FLOPs, round by round
memory     peak memory of a tuning and of a pass           disk       bytes by kind
hardware   peak rates of accelerators                      judging    what a judge would take
whole      the plan, and its ratio to one full tuning      knobs      what would bring it down, each with its figure
measured   predicted beside measured, of a run folder's figures
"""

from .facts import Facts, Lengths, ModelShape
from .hardware import PEAKS, Rates, rates_of
from .knobs import Knob, knobs
from .measured import progress
from .whole import Plan, make_plan

__all__ = [
    "PEAKS",
    "Facts",
    "Knob",
    "Lengths",
    "ModelShape",
    "Plan",
    "Rates",
    "knobs",
    "make_plan",
    "progress",
    "rates_of",
]
