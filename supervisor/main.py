"""The program. What can be started before the command line is read is started first."""

import sys
from collections.abc import Sequence

from greenroom.supervisor.startup.prelaunch import Prelaunch


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    prelaunch = Prelaunch.launch(words)
    from greenroom.supervisor.cli import command_line  # the fork server need not wait for this import

    try:
        return command_line.run(words, prelaunch)
    except SystemExit:  # invalid arguments, or a request for help
        if prelaunch is not None:
            prelaunch.abort()
        raise


if __name__ == "__main__":
    sys.exit(main())
