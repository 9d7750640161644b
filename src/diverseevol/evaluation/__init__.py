"""Measures of a subset and of the models tuned on it."""
