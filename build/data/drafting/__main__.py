"""``python -m data.drafting``."""

from data.drafting.cli import main

if __name__ == "__main__":
    main(prog_name="python -m data.drafting")
