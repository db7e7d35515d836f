"""What stops a script, said in one sentence."""

import sys
from collections.abc import Callable


class Problem(Exception):  # noqa: N818 - it is shown to people, not caught by name
    """Something is missing on this machine; the message says what and how to get it."""


def run_script(main: Callable[[], int]) -> None:
    """Run a script's main function and leave with its exit status.

    Args:
        main: Returns the exit status. A `Problem` becomes a sentence and status 2, an interrupt
            from the keyboard becomes status 130; neither shows a traceback.
    """
    try:
        status = main()
    except Problem as problem:
        print(f"\n{problem}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        status = 130
    sys.exit(status)
