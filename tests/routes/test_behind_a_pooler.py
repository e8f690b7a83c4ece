"""Tests from elsewhere, once more: `dsn` leads through a transaction pooler, `listen_dsn` does not.

All of them: make test ARGS="--route=pooler tests/engine tests/client tests/store"
"""

import pytest

from journey_async import Journey
from tests.client.test_journey import (  # noqa: F401
    test_unsetting_clears_what_depended_on_it_in_the_same_commit,
)
from tests.client.test_settled import test_settled_reflects_everything_set_so_far  # noqa: F401
from tests.client.test_waits import (  # noqa: F401
    test_a_wait_in_another_process_resolves_by_notification,
    test_a_wait_survives_its_listener,
)
from tests.engine.test_attempts import (  # noqa: F401
    test_a_failed_attempt_is_tried_again_after_a_pause,
)
from tests.engine.test_contention import test_no_set_is_lost_among_many_writers  # noqa: F401
from tests.engine.test_faults import (  # noqa: F401
    test_a_write_whose_answer_was_lost_is_not_done_twice,
    test_every_connection_can_be_cut,
)
from tests.engine.test_processes import (  # noqa: F401
    test_what_a_killed_process_was_running_is_run_by_another,
)
from tests.engine.test_singletons import (  # noqa: F401
    test_everybody_finds_or_starts_the_same_execution,
)
from tests.store.test_pools import test_a_pool_of_the_callers_own_stays_open  # noqa: F401
from tests.support.routes import Route


@pytest.fixture
def route() -> Route:
    return Route.POOLER


async def test_there_is_no_polling(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Journey(dsn) as journey:
        listener = journey._engine._listener
        assert listener.is_listening
        assert not listener.is_polling
    assert "polling" not in caplog.text
