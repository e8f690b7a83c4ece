"""Replays one scenario against a database and reports how it compares."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from journey_async import Graph, Journey
from tests.conformance import rules, spelling, sweeping
from tests.conformance.clock import SPEED, ScenarioClock
from tests.conformance.compare import Comparison
from tests.conformance.departures import GRAPHS
from tests.conformance.driver import Driver
from tests.conformance.functions import Calls, menu
from tests.conformance.outcome import NoCounterpart, Outcome, Raised
from tests.conformance.saves import Saves
from tests.conformance.scenario import Builder
from tests.conformance.steps import Stage


@dataclass
class Report:
    """How a scenario compares: what differs, what departs on purpose, or why it was skipped."""

    name: str
    differences: list[str] = field(default_factory=list)
    skipped: str | None = None

    @property
    def passed(self) -> bool:
        return self.skipped is None and not self.differences

    @property
    def line(self) -> str:
        if self.skipped is not None:
            return f"{self.name} skipped: {self.skipped}"
        if not self.differences:
            return f"{self.name} ok"
        return f"{self.name} differs: {'; '.join(self.differences)}"


@dataclass(frozen=True)
class Files:
    """A scenario and its recording."""

    name: str
    scenario: Mapping[str, Any]
    recording: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, name: str) -> "Files":
        def load(part: str) -> Mapping[str, Any]:
            read: Mapping[str, Any] = json.loads(
                (folder / part / f"{name}.json").read_text(encoding="utf-8")
            )
            return read

        return cls(name, load("scenarios"), load("recorded"))


@dataclass(frozen=True)
class Database:
    """Where scenarios are replayed, each in a schema of its own."""

    dsn: str
    pool: asyncpg.Pool


async def replay(
    files: Files, database: Database, departures: Mapping[str, str], *, speed: float = SPEED
) -> Report:
    """Replay a scenario, so much faster than it says."""
    report = Report(files.name)
    try:
        await _Replay(
            files, database, departures=departures, report=report, clock=ScenarioClock(speed)
        ).run()
    except NoCounterpart as what:
        report.skipped = f"{what} has no counterpart in Python"
    return report


class _Replay:
    def __init__(
        self,
        files: Files,
        database: Database,
        *,
        departures: Mapping[str, str],
        report: Report,
        clock: ScenarioClock,
    ) -> None:
        self._scenario = files.scenario
        self._recording = files.recording
        self._database = database
        self._unused = dict(departures)
        self._report = report
        self._refused: set[str] = set()
        self._clock = clock
        self._calls = Calls()
        self._saves = Saves()
        self._builder = Builder(menu(self._calls, self._clock), self._saves.recorder)

    async def run(self) -> None:
        graphs = self._graphs()
        journey = Journey(
            pool=self._database.pool,
            listen_dsn=self._database.dsn,
            schema=f"scenario_{uuid4().hex[:16]}",
            clock=self._clock,
            grace_period=0.0,
        )
        async with journey:
            await sweeping.stop(journey, self._clock)
            for graph in graphs.values():
                await journey._engine.registry.register(graph)
            driver = Driver(
                Stage(
                    journey=journey,
                    clock=self._clock,
                    calls=self._calls,
                    saves=self._saves,
                    graphs=graphs,
                    refused=self._refused,
                    build=self._builder.graph,
                )
            )
            try:
                await self._steps(driver)
            finally:
                await driver.close()
        for place, reason in self._unused.items():
            self._report.differences.append(f"step {place} no longer departs ({reason})")

    def _graphs(self) -> dict[str, Graph]:
        """The graphs by name; those that are recorded as refused must be refused here."""
        given = dict(self._scenario.get("graphs") or {})
        if self._scenario.get("graph"):
            given = {"main": self._scenario["graph"], **given}
        errors = self._recording.get("graph_errors") or {}
        built = {}
        for ref, definition in given.items():
            place = f"{GRAPHS}.{ref}"
            theirs = errors.get(ref, {}).get("raised")
            try:
                built[ref] = self._builder.graph(definition)
            except spelling.GRAPH_ERRORS as error:
                self._refused.add(ref)
                if theirs is None and not rules.may_not_build(error):
                    self._differs(place, f"refused: {error}")
            else:
                if theirs is not None and not rules.may_build(theirs):
                    self._differs(place, f"accepted, recorded {theirs['message']!r}")
        return built

    async def _steps(self, driver: Driver) -> None:
        pairs = zip(self._scenario["ops"], self._recording["results"], strict=True)
        for index, (op, theirs) in enumerate(pairs):
            outcome = await driver.perform(op)
            if isinstance(outcome, Raised) and isinstance(outcome.error, NoCounterpart):
                raise outcome.error
            found = self._compared(index, op, theirs, outcome, driver)
            if found is not None:
                self._differs(str(index), f"{op['op']} {found}")

    def _compared(
        self,
        index: int,
        op: Mapping[str, Any],
        theirs: Mapping[str, Any],
        outcome: Outcome,
        driver: Driver,
    ) -> str | None:
        comparison = Comparison(
            executions=list(driver.stage.names),
            unstable=self._recording.get("unstable") or [],
            markers=driver.mutate_markers(),
            divergence=driver.divergence(op),
            archived=driver.is_archived(op),
        )
        return comparison.difference(index, op, theirs, outcome)

    def _differs(self, place: str, what: str) -> None:
        if self._unused.pop(place, None) is None:
            self._report.differences.append(f"step {place} {what}")
