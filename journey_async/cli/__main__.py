"""`python -m journey_async.cli` is the command `journey`."""

import io
import sys


def main() -> None:
    """Run the command with the arguments of this process."""
    try:
        from journey_async.cli.main import build
    except ModuleNotFoundError as error:
        sys.exit(f"{error}; the command wants an extra: pip install 'journey-async[cli]'")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever it can show: nothing is to fail there
            stream.reconfigure(errors="backslashreplace")
    build()()


if __name__ == "__main__":
    main()
