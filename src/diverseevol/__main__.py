"""`python -m diverseevol`: the same program as the console script, and what torchrun starts."""

from .cli import main

if __name__ == "__main__":
    main()
