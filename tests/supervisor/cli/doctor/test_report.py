"""The report: statuses, secrets, and the lines of the page."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.examination import examine
from greenroom.supervisor.cli.doctor.finding import SEVERITY, Finding, FindingStatus, Problem, combined_finding, worst
from greenroom.supervisor.cli.doctor.page import doctor_page
from greenroom.supervisor.cli.doctor.report import WITHHELD, CheckResult, make_report
from greenroom.supervisor.cli.doctor.secret_texts import SecretTexts
from greenroom.supervisor.cli.doctor.table import CHECKS, Check

statuses: st.SearchStrategy[FindingStatus] = st.sampled_from(["ok", "warning", "fail"])
texts = st.text(max_size=120)
findings = st.builds(
    Finding, statuses, texts, st.dictionaries(texts, texts | st.lists(texts, max_size=3), max_size=3), st.just("Do it.")
)


def test_a_finding_that_is_not_well_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="does not say what to do"):
        Finding("warning", "odd")
    assert Finding("ok", "fine").remediation is None


def test_several_problems_are_one_finding_the_worst_first() -> None:
    problems = [Problem("warning", "a", "Do a."), Problem("fail", "b", "Do b."), Problem("warning", "c", "Do a.")]
    found = combined_finding(problems, "well")
    assert (found.status, found.summary, found.remediation) == ("fail", "b; a; c", "Do b. Do a.")
    assert combined_finding([], "well") == Finding("ok", "well")


@given(st.lists(statuses, max_size=6))
def test_the_worst_counts(found: list[FindingStatus]) -> None:
    assert SEVERITY[worst(found)] == max((SEVERITY[status] for status in found), default=0)


@given(st.lists(findings, min_size=1, max_size=4), st.integers(30, 120))
def test_no_line_is_longer_than_its_room(found: list[Finding], room: int) -> None:
    results = [CheckResult(f"check.{number}", "some", finding, 0.0) for number, finding in enumerate(found)]
    report = make_report(results, SecretTexts(), home="/home", at=0.0, seconds=0.0)
    lines = doctor_page(report, room, details=True)
    assert [line.plain for line in lines if cell_len(line.plain) > room] == []
    assert report.exit_code == max(SEVERITY[finding.status] for finding in found)


@given(findings)
def test_without_knowledge_of_the_secrets_no_text_is_told(finding: Finding) -> None:
    told = CheckResult("check", "some", finding, 0.0).withheld()
    assert (told.id, told.finding.status) == ("check", finding.status)
    assert {told.finding.summary, told.finding.remediation} <= {WITHHELD, None}
    assert told.finding.details == {}


@given(
    st.text("abcdefgh0123456789-", min_size=12, max_size=40),
    st.lists(st.text("abcdefgh0123456789- ", max_size=30), max_size=4),
)
def test_no_secret_remains_wherever_it_stands(secret: str, around: list[str]) -> None:
    cleared = SecretTexts([secret, secret[:9]]).cleared(secret.join(["", *around, ""]))
    assert secret not in cleared


def run(check: Check, seconds: float = 1.0) -> Finding:
    context = CheckContext("/nonexistent", "/", {})
    (result,) = examine([check], context, seconds, 0.2)
    return result.finding


def test_a_check_that_hangs_is_told_whatever_it_hangs_in() -> None:
    async def awaits(_: CheckContext) -> Finding:
        await asyncio.Event().wait()
        raise AssertionError

    def blocks(_: CheckContext) -> object:
        release.wait(20)
        raise AssertionError

    release = threading.Event()

    async def blocks_the_loop(context: CheckContext) -> Finding:
        blocks(context)
        raise AssertionError

    for examine_it in (awaits, blocks_the_loop):
        found = run(Check("some.check", "some", "Whether it is", examine_it), 0.2)
        assert (found.status, "hangs" in found.summary) == ("fail", True)
    release.set()


def test_a_check_that_fails_is_a_finding() -> None:
    async def fails(_: CheckContext) -> Finding:
        raise LookupError("of all things")

    async def needs_settings(_: CheckContext) -> Finding:
        raise ConfigError("no settings")

    async def times_out_by_itself(_: CheckContext) -> Finding:
        raise TimeoutError("a socket")

    found = run(Check("some.check", "some", "Whether", fails))
    assert (found.status, "LookupError: of all things" in found.summary) == ("fail", True)
    found = run(Check("some.check", "some", "Whether", needs_settings))
    assert (found.status, found.remediation) == ("warning", "See the check config.load.")
    assert "hangs" not in run(Check("some.check", "some", "Whether", times_out_by_itself)).summary


def test_ids_are_unique_and_those_of_the_reference_are_kept() -> None:
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids)
    assert set(ids) >= {
        *("app_server.status", "auth.credentials", "config.load", "git.environment", "installation", "mcp.config"),
        *("network.env", "network.provider_reachability", "runtime.provenance", "sandbox.helpers", "state.paths"),
    }


def test_a_check_that_hangs_is_cancelled_so_that_it_can_clean_up_and_holds_nothing_up() -> None:
    cleaned = threading.Event()

    async def hangs(_: CheckContext) -> Finding:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()
        raise AssertionError

    async def is_well(_: CheckContext) -> Finding:
        return Finding("ok", "fine")

    checks = [Check("a", "some", "Whether", hangs), Check("b", "some", "Whether", is_well)]
    hung, well = examine(checks, CheckContext("/nonexistent", "/", {}), 0.2, 30.0)
    assert ("hangs" in hung.finding.summary, well.finding.status) == (True, "ok")
    assert cleaned.is_set()
    assert max(well.seconds, hung.seconds) < 20


def test_what_several_checks_need_is_asked_for_once_also_where_it_fails() -> None:
    asked: list[str] = []

    async def settings(context: CheckContext) -> str:
        asked.append(context.home)
        await asyncio.sleep(0)
        raise ConfigError("no settings")

    async def needs(context: CheckContext) -> Finding:
        return Finding("ok", await context.shared(settings))

    checks = [Check(name, "some", "Whether", needs) for name in "abc"]
    results = examine(checks, CheckContext("/home", "/", {}), 5.0, 1.0)
    assert [result.finding.status for result in results] == ["warning"] * 3
    assert asked == ["/home"]
