"""A TCP proxy on 127.0.0.1 in front of PostgreSQL's socket, as a bad network."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

CHUNK = 1 << 16
NOTICED = 25.0  # seconds until the server's keep-alive ends a connection that is half open


class Link:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.flows = asyncio.Event()
        self.flows.set()
        self.delay = 0.0
        self.is_lost = False

    def has_gone_silent(self) -> bool:
        """Whether what is sent gets lost by now."""
        return self.is_lost

    def end_at_the_server(self) -> None:
        """The server has noticed that nobody is there."""
        if self.server is not None:
            self.server.transport.abort()

    def cut(self) -> None:
        """End both sides without a word."""
        for writer in (self.client, self.server):
            if writer is not None:
                writer.transport.abort()


class Proxy:
    """Forwards, until it is told to do worse."""

    def __init__(self, upstream: Path) -> None:
        self._upstream = upstream
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._delay = 0.0
        self._is_down = False
        self._is_dark = False
        self.port = 0

    @property
    def links(self) -> int:
        """How many connections there are."""
        return len(self._links)

    def cut(self, share: float = 1.0, chance: random.Random | None = None) -> int:
        """Cut some or all connections; how many."""
        chosen = self._chosen(share, chance)
        for link in chosen:
            link.cut()
        return len(chosen)

    def half_open(self, share: float = 1.0, chance: random.Random | None = None) -> int:
        """Lose all that is sent from now on, also the news that a side has closed.

        The server ends such a connection after a while, as the kernel's keep-alive would have it.
        """
        chosen = self._chosen(share, chance)
        for link in chosen:
            link.is_lost = True
            link.flows.set()
            asyncio.get_running_loop().call_later(NOTICED, link.end_at_the_server)
        return len(chosen)

    def stall(self, share: float = 1.0, chance: random.Random | None = None) -> int:
        """Hold back what is sent on some connections until `resume`."""
        chosen = self._chosen(share, chance)
        for link in chosen:
            link.flows.clear()
        return len(chosen)

    def resume(self) -> None:
        """Deliver what was held back, and be a good network again for what comes."""
        self._delay = 0.0
        self._is_down = self._is_dark = False
        for link in self._links:
            link.delay = 0.0
            link.flows.set()

    def delay(self, seconds: float) -> None:
        """Deliver everything so much later, on all connections."""
        self._delay = seconds
        for link in self._links:
            link.delay = seconds

    def go_down(self) -> None:
        """Cut everything, and refuse new connections."""
        self._is_down = True
        self.cut()

    def go_dark(self) -> None:
        """As a machine that has vanished: nothing gets through, and nobody is told."""
        self._is_dark = True
        self.half_open()

    def _chosen(self, share: float, chance: random.Random | None) -> list[Link]:
        links = [link for link in self._links if not link.is_lost]
        return links if chance is None else [x for x in links if chance.random() < share]

    # --- the connections ----------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link = Link(client)
        link.delay = self._delay
        link.is_lost = self._is_dark
        self._links.add(link)
        try:
            if not self._is_down:
                await self._join(link, reader)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            link.cut()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _join(self, link: Link, reader: asyncio.StreamReader) -> None:
        if link.is_lost:
            return await _lose(reader)
        server, link.server = await asyncio.open_unix_connection(str(self._upstream))
        there = asyncio.create_task(_pump(link, reader, link.server))
        back = asyncio.create_task(_pump(link, server, link.client))
        try:
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            if link.has_gone_silent():  # the other side is not told that this one has gone
                await asyncio.wait([there, back])
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(link: Link, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(CHUNK):
            if link.delay:
                await asyncio.sleep(link.delay)
            await link.flows.wait()
            if not link.is_lost:
                target.write(data)
                await target.drain()


async def _lose(reader: asyncio.StreamReader) -> None:
    while await reader.read(CHUNK):
        pass


@asynccontextmanager
async def proxy_to(upstream: Path) -> AsyncIterator[Proxy]:
    """A proxy that listens on a free port for as long as the context lasts."""
    proxy = Proxy(upstream)
    server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
