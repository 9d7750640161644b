"""The rounds of a run: what is checked first, each stage once, and when to stop."""
