"""Entry point of the ``archrouter`` command."""

import sys


def main() -> None:
    """Run the command line, or say what is missing when only the client part is installed."""
    try:
        from archrouter.cli import main as run  # noqa: PLC0415  # the client-only install has no click
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "archrouter":
            raise
        print(
            f"archrouter: the command line needs {error.name!r}; install it with: pip install 'archrouter[server]'",
            file=sys.stderr,
        )
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
