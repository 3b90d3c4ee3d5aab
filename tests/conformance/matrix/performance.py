"""All rows of the matrix that share a stage, played side by side."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.conformance.foreign import Imports
from tests.conformance.matrix import tee
from tests.conformance.matrix.rows import Row
from tests.conformance.matrix.scene import RULES, Report, Scene
from tests.conformance.packages import UnavailableError
from tests.support.http_process import HttpHost, hosting_http
from tests.support.stage import Stage
from tests.support.template import Template

SIDE_BY_SIDE: Final = 3
"""Clients that play at a time."""


class Performance:
    """Rows that are being played."""

    def __init__(
        self, stage: Stage, host: HttpHost | None, pool: ThreadPoolExecutor, rows: Sequence[Row], imports: Imports
    ) -> None:
        self._stage, self._host, self._imports = stage, host, imports
        self.scenes = {row.name: self._scene(row) for row in rows}
        self._reports: dict[str, Future[Report]] = {
            row.name: pool.submit(row.play, self.scenes[row.name]) for row in rows
        }

    def report(self, row: Row) -> Report:
        """Return the report of a row, once it has been played; skip the test if its client cannot be had."""
        try:
            return self._reports[row.name].result()
        except UnavailableError as error:
            pytest.skip(str(error))

    def traffic(self, row: Row) -> list[list[tuple[bool, bytes]]]:
        """Return what each server of a row and its client have said to each other."""
        self.report(row)
        return tee.recorded(self._records(self.scenes[row.name]))

    def _scene(self, row: Row) -> Scene:
        cwd = self._stage.workspace / re.sub(r"\W+", "-", row.name)
        cwd.mkdir()
        over_http = self._host if row.way == "HTTP" else None
        scene = Scene(
            self._stage,
            self._imports,
            cwd,
            row.mode,
            is_shared=row.way != "own server",
            url=None if over_http is None else over_http.url,
            headers=None if over_http is None else over_http.headers,
            program=str(self._stage.workspace / f"{cwd.name}.tee" if row.speaks_app_server else self._stage.program),
        )
        if row.speaks_app_server:
            tee.install(Path(scene.program), self._stage.program, self._records(scene))
        return scene

    def _records(self, scene: Scene) -> Path:
        return scene.cwd.with_suffix(".traffic")


@contextmanager
def performing(path: Path, template: Template | None, rows: Sequence[Row], imports: Imports) -> Iterator[Performance]:
    """Let rows be played on a stage, which has a host if they are attached to one or speak HTTP."""
    stage = Stage(path, template)
    hosted = any(row.way != "own server" for row in rows)
    stage.play(*RULES, top='[greenroom]\nattach = "require"\n' if hosted else "")
    stage.kills_expected = True  # some clients end their servers so
    try:
        with ExitStack() as stack:
            host = stack.enter_context(hosting_http(stage)) if hosted else None
            pool = stack.enter_context(ThreadPoolExecutor(SIDE_BY_SIDE))
            stack.callback(pool.shutdown, cancel_futures=True)
            yield Performance(stage, host, pool, rows, imports)
    finally:
        stage.strike()
