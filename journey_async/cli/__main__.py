"""`python -m journey_async.cli` is the command `journey`."""

import sys


def main() -> None:
    """Run the command with the arguments of this process."""
    try:
        from journey_async.cli.main import build
    except ModuleNotFoundError as error:
        sys.exit(f"{error}; the command wants an extra: pip install 'journey-async[cli]'")
    build()()


if __name__ == "__main__":
    main()
