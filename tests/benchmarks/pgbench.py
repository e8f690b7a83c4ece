"""pgbench: what the server does with one UPDATE a transaction, whoever asks."""

import asyncio
import re
import tempfile
from pathlib import Path

import asyncpg

CLIENTS = (1, 8, 32)
SECONDS = 3
ROWS = 10_000
UPDATE = f"\\set id random(1, {ROWS})\nUPDATE bench SET n = n + 1 WHERE id = :id;\n"


async def transactions(bindir: Path, dsn: str) -> dict[str, list[float]]:
    """Transactions a second by the number of clients; nothing where there is no pgbench."""
    program = bindir / "pgbench"
    if not program.exists():
        return {}
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS bench (id int PRIMARY KEY, n int)")
    await connection.execute(
        f"INSERT INTO bench SELECT i, 0 FROM generate_series(1, {ROWS}) i ON CONFLICT DO NOTHING"
    )
    await connection.close()
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(UPDATE)
        script.flush()
        return {
            f"pgbench_{clients}": [await _run(program, dsn, script.name, clients)]
            for clients in CLIENTS
        }


async def _run(program: Path, dsn: str, script: str, clients: int) -> float:
    process = await asyncio.create_subprocess_exec(
        *(program, "-n", "-M", "prepared", "-f", script, "-c", str(clients)),
        *("-j", str(min(clients, 2)), "-T", str(SECONDS), dsn),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    found = re.search(r"tps = ([0-9.]+)", output.decode())
    if found is None:
        raise RuntimeError(f"pgbench said: {output.decode()}")
    return float(found[1])
