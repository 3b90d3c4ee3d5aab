"""The program. What goes ahead of a server is on its way before the command line is read."""

import sys
from collections.abc import Sequence

from greenroom.supervisor.startup.prelaunch import Prelaunch


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    vanguard = Prelaunch.send(words)
    from greenroom.supervisor.cli import command_line  # a fork server need not wait for it

    try:
        return command_line.run(words, vanguard)
    except SystemExit:  # it made no sense, or asked for help
        if vanguard is not None:
            vanguard.dismiss()
        raise


if __name__ == "__main__":
    sys.exit(main())
