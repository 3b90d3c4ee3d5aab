"""A signal before the loop handles signals is not lost, whatever Python does when it comes."""

import os
import signal
import weakref

from greenroom.supervisor.startup.early_signals import note_early_signals, take_early_signals
from tests.support.forked import Forked


class Thing:
    """Something that can be referred to weakly."""


def _main() -> int:
    note_early_signals()
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    del thing  # an exception in the hook of a weak reference is printed and dropped
    os.kill(os.getpid(), signal.SIGHUP)
    assert reference() is None
    assert take_early_signals() == [signal.SIGTERM, signal.SIGHUP]
    assert take_early_signals() == []
    return 7


def test_a_signal_in_a_hook_of_the_interpreter_is_noted() -> None:
    program = Forked(_main, dict(os.environ))
    assert program.wait() == 7
    program.hang_up()
    program.stdout.close()
