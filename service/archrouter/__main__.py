"""``python -m archrouter``."""

from archrouter.cli import main

if __name__ == "__main__":
    main()
