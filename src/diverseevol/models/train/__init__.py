"""Tuning a round's model: by TRL (`sft`) or by the user's own command (`command`)."""
