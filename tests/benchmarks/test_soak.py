"""A soak says what was left, what grew, and which calls were not answered as they should have been."""

from collections import Counter

from benchmarks.load import Account
from benchmarks.phase import DRIFT, PER_CONVERSATION, TREND, Phase
from benchmarks.resources import Resources
from benchmarks.soak import page

MEMORY = {"supervisor": 30_000_000, "fork_server": 6_000_000}


def resources(**facts: object) -> Resources:
    known = {
        "conversations": 1,
        "processes": {"supervisor": 1, "gr-worker": 2},
        "threads": {"supervisor": 3, "gr-worker": 6},
        "descriptors": {"supervisor": 26},
        "memory": MEMORY,
        "files": 8,
    }
    return Resources(**(known | facts))  # type: ignore[arg-type]


def phase(after: Resources, account: Account | None = None) -> Phase:
    return Phase("a phase", 100, 100, 1.0, account or Account(), resources(), after)


def test_a_server_that_holds_what_it_held_is_well() -> None:
    grown = MEMORY["supervisor"] + 100 * PER_CONVERSATION
    assert phase(resources(conversations=101, memory=MEMORY | {"supervisor": grown})).faults() == []


def test_what_is_left_or_grows_is_told() -> None:
    left = resources(
        processes={"supervisor": 1, "gr-worker": 2, "stranger": 1}, files=9, descriptors={"supervisor": 60}
    )
    assert {fault.split(":")[0] for fault in phase(left).faults()} == {
        "processes",
        "files",
        "descriptors of the supervisor",
    }
    grown = resources(memory={name: size + DRIFT + 1 for name, size in MEMORY.items()})
    assert [fault.split(":")[0] for fault in phase(grown).faults()] == ["private memory of the fork server"]


def watched(*sizes: int) -> Phase:
    """A phase in which the broker was seen to hold so much."""
    looks = [resources(memory=MEMORY | {"broker": size}) for size in sizes]
    return Phase("a phase", 100, 0, 1.0, Account(), looks[0], looks[-1], tuple(looks))


def test_memory_that_keeps_growing_is_told_and_one_large_look_is_not() -> None:
    step = TREND // 4
    assert watched(*range(10**7, 10**7 + 12 * step, step)).faults() == [
        f"private memory of the broker grows: by {6 * step:,} bytes while it was watched"
    ]
    calm = [10**7] * 12
    assert watched(*calm[:-1], 10**7 + 8 * step).faults() == []
    assert watched(*calm).trends == {"supervisor": 0, "broker": 0, "fork_server": 0}


def test_memory_of_what_outlived_its_fork_server_is_not_compared() -> None:
    grown = resources(memory=MEMORY | {"fork_server": 60_000_000})
    assert phase(grown, Account(killed=Counter({"fork_server": 1}))).faults() == []


def test_a_death_may_cost_one_call() -> None:
    account = Account(fates=Counter({"crashed": 2, "succeeded": 5}), killed=Counter({"worker": 2}))
    account.judge()
    assert account.violations == []
    account.fates["crashed"] += 1
    account.judge()
    assert phase(resources(), account).faults() == ["3 calls crashed, though only 2 workers were killed"]


def test_the_page_tells_of_all_phases_and_the_machine() -> None:
    told = page([phase(resources(conversations=101))], ["a processor"])
    assert "**a phase**: 100 conversations in 1 s" in told
    assert "growth of the supervisor for each of its new conversations: 0.00 kB" in told
    assert told.endswith("* a processor\n")
