"""Tests from elsewhere, once more, where nothing leads past a transaction pooler.

Then, and only then, is there polling: once a second, for what is of interest to the process.
"""

import logging
from collections.abc import Collection
from pathlib import Path

import pytest

from journey_async import Journey
from journey_async.engine import poller
from tests.client.test_journey import (  # noqa: F401
    test_a_client_that_does_not_compute_leaves_it_to_a_worker,
    test_what_was_queued_when_it_was_archived_runs_after_unarchiving,
)
from tests.client.test_waits import (  # noqa: F401
    test_a_wait_in_another_process_resolves_by_notification as test_a_wait_elsewhere_resolves,
)
from tests.engine.test_attempts import (  # noqa: F401
    test_a_failed_attempt_is_tried_again_after_a_pause,
    test_a_function_stops_when_another_process_abandons_its_attempt,
)
from tests.engine.test_processes import here
from tests.engine.test_roll_out import OLD
from tests.engine.test_roll_out_waits import ahead, parked, settled
from tests.support.clocks import is_right, shift
from tests.support.eventually import eventually
from tests.support.routes import Route
from tests.support.worker import calls, graph_of, worker


@pytest.fixture
def route() -> Route:
    return Route.ONLY_POOLER


async def test_who_has_to_poll_says_what_would_be_better(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with Journey(dsn):
            await eventually(lambda: "give Journey a listen_dsn" in caplog.text)


async def test_old_code_that_comes_back_is_noticed(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "POLL_INTERVAL", 0.05)
    monkeypatch.setattr(poller, "CHECKED_EVERY", 1)
    async with Journey(dsn, graphs=[OLD]) as old, ahead(dsn) as client:
        wait = await parked(client, await settled(old), "y")
        store = client._engine.store
        looks, read = [], store.versions

        async def counted(ids: Collection[str]) -> dict[str, int]:
            looks.append(ids)
            return await read(ids)

        monkeypatch.setattr(store, "versions", counted)
        await eventually(lambda: len(looks) > 9)  # the first poll would show it anyway
        async with Journey(dsn, graphs=[OLD]):
            assert await wait == 1


async def test_who_computes_nothing_goes_by_the_databases_time_as_well(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "POLL_INTERVAL", 0.05)
    monkeypatch.setattr(poller, "CHECKED_EVERY", 1)
    async with Journey(dsn, run_computations=False) as client:
        shift(client, 600)
        await eventually(lambda: is_right(client))


@pytest.mark.exhaustive  # for the lease takes its time
async def test_a_process_that_died_is_noticed_when_its_lease_runs_out(
    dsn: str, tmp_path: Path
) -> None:
    async with (
        worker(dsn, tmp_path, lease=1.0) as process,
        Journey(dsn, run_computations=False) as client,
    ):
        execution = await client.start_execution(graph_of(here), {"x": 1})
        await eventually(lambda: "began 1" in calls(tmp_path))
        async with Journey(dsn, graphs=[graph_of(here)]):
            process.kill()
            assert await client.get_value(execution, "y", wait_any=True) == "from here"
