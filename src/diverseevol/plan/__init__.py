"""What a run will cost, worked out before it starts (`estimate`) from what is known of it (`facts`).

Seconds come from a table of accelerators (`hardware`) or from rates that are measured here (`calibrate`).
"""
