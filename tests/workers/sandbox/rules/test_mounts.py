"""Promises of the plan for a command's view of the file system."""

import os

from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.sandbox.confinement import Confinement, Hidden, is_within
from greenroom.workers.sandbox.rules.mounts import MountStep, Treatment, plan_mounts

NAMES = st.sampled_from(["a", "b", "c"])
PLACES = st.lists(NAMES, max_size=4).map(lambda names: "/" + "/".join(names))
CONFINEMENTS = st.builds(
    Confinement,
    writable=st.lists(PLACES, max_size=3, unique=True).map(tuple),
    protected=st.lists(PLACES, max_size=3, unique=True).map(tuple),
    hidden=st.lists(st.builds(Hidden, PLACES), max_size=2, unique=True).map(tuple),
    network=st.booleans(),
)


def verdict(steps: list[MountStep], path: str) -> Treatment | None:
    """What the mounts make of a path: the last step at or above it decides."""
    found: Treatment | None = None
    for step in steps:
        if is_within(path, step.path) and step.treatment != Treatment.PINNED:
            found = step.treatment
    return found


@given(CONFINEMENTS, PLACES)
def test_plan_and_policy_agree_on_what_is_writable(confinement: Confinement, path: str) -> None:
    treated = verdict(plan_mounts(confinement), path)
    hidden_directory = any(path == hidden.directory for hidden in confinement.hidden)
    if not hidden_directory:
        assert (treated is Treatment.WRITABLE) == confinement.may_write(path) or _below_hidden(confinement, path)


def _below_hidden(confinement: Confinement, path: str) -> bool:
    """A root that lies below a hidden directory: the policy refuses it, and never makes such a confinement."""
    return any(is_within(path, hidden.directory) for hidden in confinement.hidden)


@given(CONFINEMENTS)
def test_places_come_after_what_lies_above_them(confinement: Confinement) -> None:
    steps = plan_mounts(confinement)
    for index, step in enumerate(steps):
        assert not any(later.path != step.path and is_within(step.path, later.path) for later in steps[index:])


@given(CONFINEMENTS)
def test_no_directory_above_a_special_place_can_be_renamed(confinement: Confinement) -> None:
    steps = plan_mounts(confinement)
    mounted = {step.path for step in steps}
    for step in steps:
        above = os.path.dirname(step.path)
        while above != "/":
            renamable = any(is_within(above, root) and above != root for root in confinement.writable)
            assert above in mounted or not renamable
            above = os.path.dirname(above)


def test_usual_workspace() -> None:
    confinement = Confinement(
        writable=("/home/ada/shop", "/tmp"),
        protected=("/home/ada/shop/.git", "/home/ada/.codex"),
        hidden=(Hidden("/home/ada/.codex", ("auth.json*",)), Hidden("/tmp/greenroom/7")),
        network=False,
    )
    assert [(step.path, step.treatment.name) for step in plan_mounts(confinement)] == [
        ("/tmp", "WRITABLE"),
        ("/tmp/greenroom", "PINNED"),
        ("/home/ada/shop", "WRITABLE"),
        ("/tmp/greenroom/7", "COVERED"),
        ("/home/ada/shop/.git", "READ_ONLY"),
    ]
