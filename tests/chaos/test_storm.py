"""A short storm and a few recoveries: `make chaos` does the same for as long as one likes."""

import random
from pathlib import Path

import pytest

from tests.chaos.recovery import asked_to_end, killed, restarted, site
from tests.chaos.server import chaos_server
from tests.chaos.story import SHORT, tell


@pytest.mark.timeout(300)  # usually ten; what only the safety check finds takes it half a minute
async def test_a_short_storm_loses_nothing_and_leaves_nothing_stuck(tmp_path: Path) -> None:
    seed = random.getrandbits(32)
    with chaos_server() as server:
        story = await tell(server, tmp_path, seed=seed, **SHORT)
    again = f"again: python -m tests.chaos --short --seed {seed}"
    assert story.findings.wrong == [], again
    assert story.findings.figures["writes acknowledged"] > 0, again


@pytest.mark.exhaustive
async def test_work_is_picked_up_again_in_time(tmp_path: Path) -> None:
    with chaos_server() as server:
        async with site(server, tmp_path / "log") as place:
            assert (await killed(place, 2, random.Random())).holds
        async with site(server, tmp_path / "log") as place:
            assert (await asked_to_end(place, 2)).holds
        async with site(server, tmp_path / "log") as place:
            assert (await restarted(place, 2)).holds
