"""Schemathesis reads the router's OpenAPI, and sends what it can think of: no answer is a 5xx."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest
from fastapi import FastAPI

from journey_async.contrib.fastapi import execution_router, journey_lifespan
from tests.contrib.shop import other, settings, shop
from tests.support.serving import served

PROGRAM = Path(sys.executable).with_name("schemathesis")
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]


EXTENT = ["--max-examples", "100", "--generation-database", "none"]
GRAPHS = {"shop": shop, "other": other, "settings": settings}


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
async def test_whatever_is_sent_is_answered_as_documented(dsn: str, tmp_path: Path) -> None:
    app = FastAPI(lifespan=journey_lifespan(dsn, graphs=list(GRAPHS.values()), grace_period=0))
    # So short that no request takes longer than a client is ready to wait.
    router = execution_router(
        GRAPHS, hidden=["ssn"], read_only=["paid"], max_wait=0.01, max_stream=0.05
    )
    app.include_router(router)
    async with served(app) as address:
        program = await asyncio.create_subprocess_exec(
            *(str(PROGRAM), "run", f"{address}/openapi.json", "--checks", ",".join(CHECKS)),
            *("--suppress-health-check", "all", "--no-color"),
            *EXTENT,
            cwd=tmp_path,
            stdout=PIPE,
            stderr=STDOUT,
        )
        output, _ = await program.communicate()
    assert program.returncode == 0, output.decode()
    assert f"Tested: {6 * len(GRAPHS)}" in output.decode()
