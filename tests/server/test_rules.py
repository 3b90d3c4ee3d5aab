"""The user's rules decide about the commands of a conversation, and a broken file is told to its client."""

from pathlib import Path

from greenroom.demo.script import Call, Quote, rule
from tests.support.stage import Stage


def save(stage: Stage, **files: str) -> None:
    folder = stage.home.path / "rules"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.rules").write_text(text)


def attempt(stage: Stage, script: str) -> str:
    """Run a script as a command of the model in `read-only` under `never`; return what the model was told."""
    stage.play(
        rule("try", [Call("shell", {"command": ["bash", "-c", script]})], [Quote("told: ")]),
    )
    client = stage.serve("fork").client
    result = client.result(client.codex("try", cwd=stage.cwd, sandbox="read-only", approval_policy="never"))
    return str(result["structuredContent"]["content"])


def test_what_a_rule_allows_leaves_the_sandbox_and_nothing_else_does(stage: Stage) -> None:
    save(stage, a='prefix_rule(pattern=["touch"])')
    inside, outside = stage.workspace / "inside", stage.workspace / "outside"
    attempt(stage, f"touch {outside}")
    attempt(stage, f"touch {inside}; true")
    assert (outside.exists(), inside.exists()) == (True, False)


def test_what_a_rule_forbids_is_refused_with_its_reason(stage: Stage) -> None:
    save(stage, a='prefix_rule(pattern=["touch"], decision="forbidden", justification="leave no traces")')
    told = attempt(stage, f"(touch {stage.workspace / 'x'})")
    assert "a rule of the user forbids commands that begin with `touch`: leave no traces" in told


def test_the_client_is_told_of_a_broken_file_and_nothing_is_allowed(stage: Stage) -> None:
    save(stage, a='prefix_rule(pattern=["touch"])', b="\nprefix_rule(")
    path = Path(stage.workspace / "x")
    stage.play(rule("try", [Call("shell", {"command": ["touch", str(path)]})], [Quote("told: ")]))
    client = stage.serve("fork").client
    call = client.codex("try", cwd=stage.cwd, sandbox="read-only", approval_policy="never")
    client.result(call)
    assert "b.rules cannot be used: line 2: " in client.event(call, "warning")["message"]
    assert not path.exists()


def test_the_model_is_told_what_is_allowed(stage: Stage) -> None:
    save(stage, a='prefix_rule(pattern=["make", "test"])')
    attempt(stage, "true")
    assert b"approved already: `make test`" in stage.model.requests()[0].body
