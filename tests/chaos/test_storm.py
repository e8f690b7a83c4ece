"""A short storm: `make chaos` does the same for as long as one likes, and times recoveries."""

import random
from pathlib import Path

import pytest

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
