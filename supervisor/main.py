"""The program. What goes ahead of a server is on its way before the command line is read."""

import sys
from collections.abc import Sequence

from greenroom.supervisor.startup.prelaunch import Prelaunch


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    prelaunch = Prelaunch.launch(words)
    from greenroom.supervisor.cli import command_line  # a fork server need not wait for it

    try:
        return command_line.run(words, prelaunch)
    except SystemExit:  # it made no sense, or asked for help
        if prelaunch is not None:
            prelaunch.abort()
        raise


if __name__ == "__main__":
    sys.exit(main())
