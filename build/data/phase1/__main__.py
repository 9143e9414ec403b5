"""``python -m data.phase1``."""

from data.phase1.cli import main

if __name__ == "__main__":
    main(prog_name="python -m data.phase1")
