"""Loading a base model, tuning it, and reading its embeddings and signals."""
