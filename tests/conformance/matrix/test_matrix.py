"""Every client of other makers, over every way to Greenroom, in every situation.

The rows are in `rows.py`, the columns in `situations.py`. The rows of a stage are played once, side by side, for all
tests; those that share one host share it all at once.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

import msgspec
import pytest

from benchmarks.reference_program import Missing
from tests.conformance.app_server.schemas import Judge, printed_schemas
from tests.conformance.foreign import Imports
from tests.conformance.matrix.performance import Performance, performing
from tests.conformance.matrix.rows import ROWS, WAYS, Row
from tests.conformance.matrix.situations import SITUATIONS
from tests.conftest import Templates

STAGES: Final = tuple([row for row in ROWS if (row.way == "own server") == is_own] for is_own in (False, True))
"""The rows that share a stage, and a host if they have one."""

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]  # the first run on a machine installs the clients

each_row = pytest.mark.parametrize("row", [row for rows in STAGES for row in rows], ids=lambda row: row.name)


@pytest.fixture(scope="module")
def performance_of(
    request: pytest.FixtureRequest,
    _templates: Templates,
    tmp_path_factory: pytest.TempPathFactory,
    imports: Imports,
) -> Iterator[Callable[[Row], Performance]]:
    """Return what finds the performance of a row, and begins it on first use."""
    with ExitStack() as stack:
        begun: dict[int, Performance] = {}

        def find(row: Row) -> Performance:
            number = next(number for number, rows in enumerate(STAGES) if row in rows)
            if number not in begun:
                path = tmp_path_factory.mktemp("matrix")
                begun[number] = stack.enter_context(performing(path, _templates(request), STAGES[number], imports))
            return begun[number]

        yield find


@pytest.fixture
def performance(performance_of: Callable[[Row], Performance], row: Row) -> Performance:
    return performance_of(row)


@each_row
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_client_in_a_situation(performance: Performance, row: Row, situation: str) -> None:
    SITUATIONS[situation](row, performance.scenes[row.name], performance.report(row)[situation])


@each_row
def test_a_client_complains_of_nothing_unexpected(performance: Performance, row: Row) -> None:
    report = performance.report(row)
    assert [text for text in report.get("complaints", ()) if re.match(row.complaints, text) is None] == []
    if row.version is not None:
        assert report["version"] in (row.version, None)
        assert report["tools"] == ["codex", "codex-reply"]
    assert report.keys() <= {*SITUATIONS, "complaints", "version", "tools"}


@pytest.mark.parametrize(
    "row", [row for rows in STAGES for row in rows if row.speaks_app_server], ids=lambda row: row.name
)
def test_every_message_of_an_app_server_and_its_client_fits_the_schemas_of_the_reference(
    performance: Performance, row: Row
) -> None:
    schemas = printed_schemas()
    if isinstance(schemas, Missing):
        pytest.skip(schemas.reason)
    judged: Counter[str] = Counter()
    for lines in performance.traffic(row):
        judge = Judge(schemas)
        for is_clients, line in lines:
            judge(msgspec.json.decode(line), is_clients)
        judged += judge.judged
    expected = {"result of initialize", "result of thread/start", "result of turn/start", "result of thread/resume"}
    expected |= {"turn/completed", "item/completed", "item/agentMessage/delta", "result of turn/interrupt", "error"}
    expected |= {
        "user": {"item/commandExecution/requestApproval", "serverRequest/resolved"},
        "reviewer": {"item/autoApprovalReview/completed"},
        "nobody": set(),
    }[row.asked]
    assert expected <= judged.keys()


def test_every_client_is_there_over_every_way_that_it_has() -> None:
    assert {(row.client, row.way) for row in ROWS} == {(client, way) for client, ways in WAYS.items() for way in ways}
    assert len({row.name for row in ROWS}) == len(ROWS)
