"""TensorBoard, W&B and trackio through `train.report_to`: one run for the whole loop, the trainer's series and our own beside them."""

from .loop_tracking import Tracking, check_trackers, tracked

__all__ = ["Tracking", "check_trackers", "tracked"]
