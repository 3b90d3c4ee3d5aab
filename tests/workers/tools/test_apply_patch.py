"""A patch is applied as a whole, where the rules and the user let it be, and clients see what it did; or it is told."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from greenroom.protocol.approval import DENIED, Decision, PatchQuestion
from greenroom.protocol.events.file_change import UpdatedFile
from greenroom.protocol.mcp.toolset import APPROVAL_POLICIES
from greenroom.protocol.policy import ApprovalPolicy
from greenroom.supervisor.frontend.elicitor import too_late
from greenroom.workers.tools.context import ToolOutput
from tests.workers.tools.conftest import Conversation, Conversations

YES = Decision(verdict="approved")
OUTSIDE = "patch rejected: writing outside of the project; rejected by user approval settings"
APPLIED = ["patch_apply_begin", "patch_apply_end", "turn_diff"]
SECRET = "sk-never-to-be-shown"


def patch(*sections: str) -> str:
    return "\n".join(["*** Begin Patch", *sections, "*** End Patch"])


def add(path: object, text: str = "hello") -> str:
    return f"*** Add File: {path}\n+{text}"


def update(path: object, old: str, new: str) -> str:
    return f"*** Update File: {path}\n@@\n-{old}\n+{new}"


def move(path: object, goal: object) -> str:
    return f"*** Update File: {path}\n*** Move to: {goal}"


def delete(path: object) -> str:
    return f"*** Delete File: {path}"


def apply(conversation: Conversation, *sections: str) -> ToolOutput:
    return conversation.call("apply_patch", {"input": patch(*sections)})


def contents(directory: Path) -> dict[str, str]:
    """Return every file below a directory."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text() for path in files}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with a file, beside another directory."""
    (tmp_path / "other").mkdir()
    project = tmp_path / "shop"
    project.mkdir()
    (project / "app.js").write_text("a\nb\nc\n")
    return project


# Effects and events


def test_client_and_model_learn_what_a_patch_did(begin: Conversations, shop: Path) -> None:
    conversation = begin(shop)
    told = apply(conversation, update("app.js", "b", "B"), add("new.txt"))
    assert told == ToolOutput("Success. Updated the following files:\nA new.txt\nM app.js\n", success=True)
    assert contents(shop) == {"app.js": "a\nB\nc\n", "new.txt": "hello\n"}
    begun, ended, diff = conversation.events
    facts = {"call_id": "call_1", "turn_id": "turn_1"}
    changes = {
        f"{shop}/app.js": {
            "type": "update",
            "unified_diff": "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n",
            "move_path": None,
        },
        f"{shop}/new.txt": {"type": "add", "content": "hello\n"},
    }
    assert begun == {"type": "patch_apply_begin", **facts, "auto_approved": True, "changes": changes}
    assert ended == {
        "type": "patch_apply_end",
        **facts,
        "changes": changes,
        "success": True,
        "stdout": told.text,
        "stderr": "",
        "status": "completed",
    }
    assert diff["type"] == "turn_diff"
    assert str(diff["unified_diff"]).count("diff --git ") == 2


def test_a_patch_that_is_undone_takes_its_diff_back(begin: Conversations, shop: Path) -> None:
    conversation = begin(shop)
    for old, new in (("b", "B"), ("B", "b")):
        assert apply(conversation, update("app.js", old, new)).success
    assert conversation.order == APPLIED * 2
    assert conversation.events[-1] == {"type": "turn_diff", "unified_diff": ""}


def test_the_diff_is_that_of_the_whole_turn(begin: Conversations, shop: Path) -> None:
    conversation = begin(shop)
    for section in (update("app.js", "a", "A"), update("app.js", "c", "C"), add("new.txt")):
        assert apply(conversation, section).success
    assert conversation.order == APPLIED * 3
    last = str(conversation.events[-1]["unified_diff"])
    assert [line for line in last.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")] == [
        *("-a", "+A", "-c", "+C"),
        "+hello",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"input": 5},
        {"input": None},
        {"input": {}},
        {"input": [1]},
        {"other": patch(add("new.txt"))},
        {"input": patch(add("new.txt")), "patch": patch(add("old.txt"))},
        {"command": ["ls", "-l"]},
        {"command": ["apply_patch"]},
        {"command": ["apply_patch", "x", "y"]},
    ],
)
def test_arguments_that_do_not_fit_change_nothing(
    begin: Conversations, shop: Path, arguments: dict[str, object]
) -> None:
    conversation = begin(shop)
    told = conversation.call("apply_patch", arguments)
    assert told.text.startswith(("failed to parse function arguments: ", "apply_patch was not run: "))
    assert conversation.events == []


# The ways in which models write it


SCRIPT = "apply_patch <<'EOF'\n{patch}\nEOF"
FORMS: dict[str, dict[str, object]] = {
    "argv": {"command": ["apply_patch", "{patch}"]},
    "old name": {"command": ["applypatch", "{patch}"]},
    "here-document": {"command": ["bash", "-lc", SCRIPT]},
    "here-document for sh": {"command": ["sh", "-c", SCRIPT]},
    "plain text": {"command": SCRIPT},
    "argument": {"command": ["bash", "-lc", "apply_patch '{patch}'"]},
    "directory": {"command": ["bash", "-lc", f"cd sub && {SCRIPT}"]},
    "workdir": {"command": ["apply_patch", "{patch}"], "workdir": "sub"},
    "directory in workdir": {"command": ["bash", "-lc", f"cd '../sub' && {SCRIPT}"], "workdir": "sub"},
}


def filled(value: Any, text: str) -> Any:
    if isinstance(value, list):
        return [filled(each, text) for each in value]
    return value.replace("{patch}", text)


@pytest.mark.parametrize("form", FORMS)
def test_a_command_that_is_a_patch_is_one(begin: Conversations, shop: Path, form: str) -> None:
    (shop / "sub").mkdir()
    conversation = begin(shop)
    arguments = {name: filled(value, patch(add("new.txt"))) for name, value in FORMS[form].items()}
    told = conversation.run(**arguments)
    place = "sub/new.txt" if "sub" in str(FORMS[form]) else "new.txt"
    assert told == ToolOutput("Success. Updated the following files:\nA new.txt\n", success=True)
    assert contents(shop)[place] == "hello\n"
    assert conversation.order == APPLIED
    assert conversation.ways == (0, 0), "no process was started"


def test_a_custom_tool_call_holds_the_patch_itself(begin: Conversations, shop: Path) -> None:
    conversation = begin(shop)
    told = conversation.custom("apply_patch", patch(add("new.txt")))
    assert told == ToolOutput("Success. Updated the following files:\nA new.txt\n", success=True)
    assert conversation.order == APPLIED
    assert contents(shop)["new.txt"] == "hello\n"


@pytest.mark.parametrize(
    "command",
    [
        ["apply_patch"],
        ["apply_patch", "{patch}", "more"],
        ["bash", "-lc", SCRIPT + "\nrm app.js"],
        ["bash", "-lc", SCRIPT.replace("EOF'", "EOF' && rm app.js", 1)],
        ["bash", "-lc", "cd sub; " + SCRIPT],
        ["bash", "-lc", "cd $HOME && " + SCRIPT],
        ["bash", "-lc", "apply_patch < some.patch"],
        "apply_patch <<EOF | tee log\n{patch}\nEOF",
    ],
)
def test_a_command_that_is_more_than_a_patch_does_nothing_and_says_why(
    begin: Conversations, shop: Path, command: object
) -> None:
    conversation = begin(shop)
    told = conversation.run(command=filled(command, patch(add("new.txt"))))
    assert told.text.startswith("apply_patch was not run: ")
    assert not told.success
    assert (conversation.events, conversation.ways) == ([], (0, 0))
    assert contents(shop) == {"app.js": "a\nb\nc\n"}


# Patches that do not fit


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (update("app.js", "x", "y"), "Failed to find expected lines in {shop}/app.js:\nx\n"),
        (update("missing.js", "x", "y"), "Failed to read file to update {shop}/missing.js: No such file or directory"),
        (delete("missing.js"), "Failed to delete file {shop}/missing.js: No such file or directory"),
        (update("sub", "x", "y"), "Failed to read file to update {shop}/sub: Is a directory"),
        ("*** Rename File: a", "invalid hunk at line 4, "),
        (update("app\0.js", "x", "y"), "Failed to read file to update {shop}/app\0.js: "),
    ],
)
def test_a_patch_that_does_not_fit_changes_nothing_at_all(
    begin: Conversations, shop: Path, section: str, reason: str
) -> None:
    (shop / "sub").mkdir()
    conversation = begin(shop)
    told = apply(conversation, add("first.txt"), section)
    assert told.text.startswith(f"apply_patch verification failed: {reason.format(shop=shop)}"), told.text
    assert not told.success
    assert conversation.events == []
    assert contents(shop) == {"app.js": "a\nb\nc\n"}


@pytest.mark.parametrize("text", ["", "hello", "*** Begin Patch\n", "*** Begin Patch\n+x\n*** End Patch"])
def test_what_is_no_patch_is_told(begin: Conversations, shop: Path, text: str) -> None:
    conversation = begin(shop)
    assert conversation.custom("apply_patch", text).text.startswith("apply_patch verification failed: invalid ")
    assert conversation.events == []


@pytest.mark.parametrize("policy", APPROVAL_POLICIES)
def test_an_empty_patch_is_refused(begin: Conversations, shop: Path, policy: ApprovalPolicy) -> None:
    conversation = begin(shop, policy, "workspace-write")
    assert apply(conversation) == ToolOutput("patch rejected: empty patch", success=False)
    assert conversation.events == []


def test_a_directory_that_does_not_exist_is_told(begin: Conversations, shop: Path) -> None:
    told = begin(shop).run(command=["apply_patch", patch(add("new.txt"))], workdir="nowhere")
    assert told.text == f"apply_patch verification failed: The working directory {shop}/nowhere does not exist"
    assert not (shop / "nowhere").exists()


# Where a patch may write


OUTWARD = ["../other/new.txt", "{shop}/../other/new.txt", "{other}/new.txt", ".git/config", "link/new.txt", "door"]


@pytest.fixture
def shop_with_links(shop: Path) -> Path:
    (shop / "link").symlink_to(shop.parent / "other")
    (shop / "door").symlink_to(shop.parent / "other" / "new.txt")
    return shop


@pytest.mark.parametrize("path", OUTWARD)
def test_under_never_a_patch_stays_inside(begin: Conversations, shop_with_links: Path, path: str) -> None:
    shop = shop_with_links
    conversation = begin(shop, "never", "workspace-write")
    told = apply(conversation, add("inside.txt"), add(path.format(shop=shop, other=shop.parent / "other")))
    assert told == ToolOutput(OUTSIDE, success=False)
    assert (conversation.events, conversation.questions) == ([], [])
    assert contents(shop.parent) == {"shop/app.js": "a\nb\nc\n"}


def test_both_ends_of_a_move_count(begin: Conversations, shop: Path) -> None:
    (shop.parent / "other" / "b.txt").write_text("b\n")
    for section in (move("app.js", "../other/app.js"), move("../other/b.txt", "b.txt")):
        assert apply(begin(shop, "never", "workspace-write"), section).text == OUTSIDE
    assert contents(shop.parent) == {"shop/app.js": "a\nb\nc\n", "other/b.txt": "b\n"}


def test_the_directory_of_a_call_widens_nothing(begin: Conversations, shop: Path) -> None:
    conversation = begin(shop, "never", "workspace-write")
    other = str(shop.parent / "other")
    assert conversation.run(command=["apply_patch", patch(add("new.txt"))], workdir=other).text == OUTSIDE
    assert conversation.run(command=f"cd {other} && {filled(SCRIPT, patch(add('new.txt')))}").text == OUTSIDE
    assert contents(shop.parent) == {"shop/app.js": "a\nb\nc\n"}


@pytest.mark.parametrize("policy", ["on-request", "never", "on-failure"])
def test_inside_a_patch_needs_no_question(begin: Conversations, shop: Path, policy: ApprovalPolicy) -> None:
    conversation = begin(shop, policy, "workspace-write")
    assert apply(conversation, add("sub/new.txt")).success
    assert conversation.order == APPLIED


def test_in_read_only_nothing_is_inside(begin: Conversations, shop: Path) -> None:
    assert apply(begin(shop, "never", "read-only"), add("new.txt")).text == OUTSIDE
    assert contents(shop) == {"app.js": "a\nb\nc\n"}


def test_under_on_failure_what_the_sandbox_policy_forbids_fails_as_a_whole(begin: Conversations, shop: Path) -> None:
    conversation = begin(shop, "on-failure", "workspace-write")
    told = apply(conversation, add("inside.txt"), add("../other/new.txt"))
    target = shop.parent / "other" / "new.txt"
    assert told.text == f"Failed to write file {target}: {target} is outside of what may be written"
    assert not told.success
    assert conversation.order == ["patch_apply_begin", "patch_apply_end"]
    ended = conversation.events[-1]
    assert (ended["success"], ended["status"], ended["stderr"]) == (False, "failed", told.text)
    assert contents(shop.parent) == {"shop/app.js": "a\nb\nc\n"}


# What the user says


def test_the_question_shows_the_changes(begin: Conversations, shop: Path) -> None:
    conversation = begin(shop, "untrusted", "workspace-write", [YES])
    assert apply(conversation, update("app.js", "b", "B")).success
    assert conversation.order == ["apply_patch_approval_request", "question", *APPLIED]
    diff = "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"
    changes = {f"{shop}/app.js": {"type": "update", "unified_diff": diff, "move_path": None}}
    facts = {"call_id": "call_1", "turn_id": "turn_1", "changes": changes}
    assert conversation.events[0] == {"type": "apply_patch_approval_request", **facts}
    assert conversation.event("patch_apply_begin")["auto_approved"] is False
    (question,) = conversation.questions
    assert question == PatchQuestion(call_id="call_1", changes={f"{shop}/app.js": UpdatedFile(diff, None)})


@pytest.mark.parametrize("verdict", ["approved", "approved_for_session"])
def test_what_is_approved_may_go_outside_and_is_asked_again(begin: Conversations, shop: Path, verdict: Any) -> None:
    answer = Decision(verdict=verdict)
    conversation = begin(shop, "on-request", "workspace-write", [answer, answer])
    assert apply(conversation, add("../other/new.txt")).success
    assert apply(conversation, add("../other/new.txt", "again")).success
    assert contents(shop.parent)["other/new.txt"] == "again\n"
    assert len(conversation.questions) == 2


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (DENIED, "patch rejected by user"),
        (Decision(verdict="denied", reason="later"), "patch rejected by user: later"),
        (too_late(3), f"patch rejected by user: {too_late(3).reason}"),
    ],
)
def test_a_patch_that_is_denied_is_not_applied(begin: Conversations, shop: Path, answer: Decision, text: str) -> None:
    conversation = begin(shop, "untrusted", "danger-full-access", [answer])
    assert apply(conversation, add("new.txt")) == ToolOutput(text, success=False)
    assert conversation.order == ["apply_patch_approval_request", "question"]
    assert contents(shop) == {"app.js": "a\nb\nc\n"}


def test_an_abort_stops_the_turn(begin: Conversations, shop: Path) -> None:
    conversation = begin(shop, "untrusted", "workspace-write", [Decision(verdict="abort")])
    with pytest.raises(asyncio.CancelledError):
        apply(conversation, add("new.txt"))
    assert contents(shop) == {"app.js": "a\nb\nc\n"}


def test_a_file_that_changes_while_the_user_thinks_is_not_overwritten(begin: Conversations, shop: Path) -> None:
    conversation = begin(shop, "untrusted", "workspace-write", [YES])
    conversation.while_asked = lambda: (shop / "app.js").write_text("mine\n")
    told = apply(conversation, update("app.js", "b", "B"), add("new.txt"))
    reason = "it has been changed since the patch was checked; read it again"
    assert told.text == f"Failed to write file {shop}/app.js: {reason}"
    assert contents(shop) == {"app.js": "mine\n"}


# Secrets


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A Codex home with credentials in all the places where they may be."""
    codex_home = tmp_path / "home"
    codex_home.mkdir()
    for name in ("auth.json", "auth.json.new", ".env", ".credentials.json"):
        (codex_home / name).write_text(f"KEY={SECRET}\n")
    return codex_home


def peeks(path: object, goal: object) -> dict[str, str]:
    return {
        "header": f"*** Update File: {path}\n@@ KEY\n-x\n+y",
        "move": move(path, goal),
        "delete": delete(path),
        "update": update(path, "x", "y"),
        "overwrite": add(path, "x"),
    }


def assert_unseen(conversation: Conversation, home: Path, goal: Path, told: ToolOutput) -> None:
    shown = f"{told.text}{conversation.events}{conversation.questions}"
    assert SECRET not in shown, shown
    assert not told.success
    assert not goal.exists()
    assert all(path.read_text() == f"KEY={SECRET}\n" for path in home.iterdir())


@pytest.mark.parametrize("way", peeks("", ""))
@pytest.mark.parametrize("name", ["auth.json", "auth.json.new"])
@pytest.mark.parametrize("policy", ["never", "untrusted"])
def test_no_patch_reads_the_login(
    begin: Conversations, shop: Path, home: Path, policy: ApprovalPolicy, name: str, way: str
) -> None:
    goal = shop / "goal.txt"
    conversation = begin(shop, policy, "workspace-write", home=home)
    told = apply(conversation, peeks(home / name, goal)[way])
    assert "Permission denied" in told.text
    assert_unseen(conversation, home, goal, told)


@pytest.mark.parametrize("way", peeks("", ""))
def test_no_patch_reads_the_login_through_a_link(begin: Conversations, shop: Path, home: Path, way: str) -> None:
    goal = shop / "goal.txt"
    (shop / "innocent.txt").symlink_to(home / "auth.json")
    conversation = begin(shop, "never", "workspace-write", home=home)
    assert_unseen(conversation, home, goal, apply(conversation, peeks("innocent.txt", goal)[way]))
    (shop / "house").symlink_to(home)
    assert_unseen(conversation, home, goal, apply(conversation, peeks("house/auth.json", goal)[way]))


@pytest.mark.parametrize("name", [".env", ".credentials.json"])
def test_no_patch_reads_other_secrets_of_the_home(begin: Conversations, shop: Path, home: Path, name: str) -> None:
    goal = shop / "goal.txt"
    conversation = begin(shop, "never", "workspace-write", home=home)
    assert_unseen(conversation, home, goal, apply(conversation, peeks(home / name, goal)["header"]))


def test_no_patch_reads_a_login_that_is_kept_elsewhere(begin: Conversations, shop: Path, home: Path) -> None:
    kept = home.parent / "kept"
    os.rename(home / "auth.json", kept)
    (home / "auth.json").symlink_to(kept)
    goal = shop / "goal.txt"
    conversation = begin(shop, "never", "workspace-write", home=home)
    assert_unseen(conversation, home, goal, apply(conversation, peeks(home / "auth.json", goal)["header"]))


@pytest.mark.parametrize(
    "arguments",
    [
        {"patch": patch(add("new.txt"))},
        {"command": ["apply_patch", patch(add("new.txt"))]},
        {"input": f"```\n{patch(add('new.txt'))}\n```"},
        {"input": f"cd . && apply_patch <<'E'\n{patch(add('new.txt'))}\nE"},
    ],
)
def test_a_patch_is_applied_however_the_model_wraps_it(
    begin: Conversations, shop: Path, arguments: dict[str, object]
) -> None:
    assert begin(shop).call("apply_patch", arguments).success
    assert contents(shop)["new.txt"] == "hello\n"
