"""What every room stands on: whole files, words for people, progress, ranks."""
