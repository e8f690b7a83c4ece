"""The pages of the dashboard, by real HTTP."""

import asyncio
import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from journey_async import Graph, Journey, JourneyError, input_node
from journey_async.client.execution import snapshot
from journey_async.core.state import new_state
from journey_async.core.values import NodeKind, NodeValue
from journey_async.dashboard import app, basic_auth, dashboard, feed, token_auth
from journey_async.dashboard.views import execution_row
from journey_async.errors import InvalidOptionError
from tests.dashboard.conftest import GRAPH
from tests.support.effort import growth
from tests.support.eventually import eventually
from tests.support.serving import served
from tests.support.waits import waits_in

OF_A_NEWER_RELEASE = """UPDATE journey.graphs SET definition = definition || '{"colour": "red"}'"""


async def started(journey: Journey, **values: Any) -> str:
    execution = await journey.start_execution(GRAPH, values)
    if "price" in values:
        await journey.get_value(execution, "total", wait_any=True)
    return execution.id


@pytest.mark.parametrize("wrong", [{"auth": None}, {"auth": "secret"}, {"redact": 3}])
async def test_options_that_mean_nothing_are_refused(
    journey: Journey, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidOptionError):
        dashboard(journey, **{"auth": basic_auth("ops", "secret"), **wrong})


async def test_the_overview_counts_by_graph(journey: Journey, browser: httpx.AsyncClient) -> None:
    assert "There are no executions yet" in (await browser.get("/")).text
    await started(journey, price=60)
    page = (await browser.get("/")).text
    assert "The system is healthy" in page
    assert "shop &amp; &lt;more&gt;" in page
    part = (await browser.get("/", headers={"X-Fragment": "1"})).text
    assert "<html" not in part


async def test_a_graph_has_its_diagram_and_its_funnel(
    journey: Journey, browser: httpx.AsyncClient
) -> None:
    await started(journey, price=60)
    page = await browser.get("/graph", params={"name": GRAPH.name, "version": "v1"})
    assert page.status_code == 200
    assert '["price", "total", "waits"]' in page.text
    assert "100.0 %" in page.text
    assert (await browser.get("/graph", params={"name": "none"})).status_code == 404
    odd = {"name": GRAPH.name, "version": "v1", "executions": "some"}
    assert (await browser.get("/graph", params=odd)).status_code == 400


def chosen_values(page: str) -> list[str]:
    """What a browser sends for each graph that can be chosen: with the line breaks of forms."""
    found = re.findall(r'<option value="([^"]+)"', page)
    return [re.sub("\r?\n", "\r\n", html.unescape(value)) for value in found]


async def test_executions_are_found_by_their_graph(
    journey: Journey, browser: httpx.AsyncClient
) -> None:
    await journey.start_execution(Graph("other", "v1", [input_node("x")]))
    execution_id = await started(journey, price=10)
    sent = chosen_values((await browser.get("/executions")).text)
    found = [(await browser.get("/executions", params={"graph": value})).text for value in sent]
    assert sorted(page.count('<th scope="row">') for page in found) == [1, 1]
    assert sum(execution_id in page for page in found) == 1
    assert all(page.count(" selected>") == 1 for page in found)
    page = (await browser.get("/graph", params={"name": GRAPH.name, "version": "v1"})).text
    [link] = re.findall(r'<a href="([^"]+)">Its executions', page)
    assert execution_id in (await browser.get(html.unescape(link))).text


@pytest.mark.parametrize("graph", ["shop", "[1, 2]", '["g"]', "[" * 10_000, '["\\u0000", "v1"]'])
async def test_a_graph_that_is_none_is_refused(browser: httpx.AsyncClient, graph: str) -> None:
    assert (await browser.get("/executions", params={"graph": graph})).status_code == 400


async def test_an_id_is_found_whatever_its_prefix(
    journey: Journey, browser: httpx.AsyncClient
) -> None:
    graph = Graph("prefixed", "v1", [input_node("x")], execution_id_prefix="an_id-")
    execution = await journey.start_execution(graph)
    found = await browser.get("/executions", params={"where": execution.id})
    assert found.url.path == f"/executions/{execution.id}"


async def test_executions_are_found_by_condition_and_by_id(
    journey: Journey, browser: httpx.AsyncClient
) -> None:
    ids = [await started(journey, price=n) for n in (10, 60)]
    page = (await browser.get("/executions", params={"where": "total > 100"})).text
    assert ids[1] in page
    assert ids[0] not in page
    wrong = await browser.get("/executions", params={"where": "total >"})
    assert wrong.status_code == 400
    assert "cannot be read" in wrong.text
    found = await browser.get("/executions", params={"where": ids[0]})
    assert found.url.path == f"/executions/{ids[0]}"


async def test_an_execution_shows_values_states_errors_and_why(
    journey: Journey, browser: httpx.AsyncClient
) -> None:
    execution = await journey.start_execution(GRAPH, {"price": 10, "customer": "<Mario>"})
    with pytest.raises(Exception, match="too bad"):
        await journey.get_value(execution, "broken", wait_any=True)
    await journey.get_value(execution, "total", wait_any=True)
    page = (await browser.get(f"/executions/{execution.id}")).text
    assert "&lt;Mario&gt;" in page
    assert "&lt;b&gt;too bad&lt;/b&gt;" in page
    assert "<b>too bad" not in page
    assert "total &gt; 100" in page  # why there is no warning
    assert re.search(r'<rect class="failed"', page)
    assert (await browser.get("/executions/EXECnone")).status_code == 404


async def test_buttons_retry_archive_and_carry_on(
    journey: Journey, browser: httpx.AsyncClient
) -> None:
    execution = await journey.start_execution(GRAPH, {"customer": "Mario"})
    with pytest.raises(Exception, match="too bad"):
        await journey.get_value(execution, "broken", wait_any=True)
    page = (await browser.get(f"/executions/{execution.id}")).text
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    form = {"csrf": found[1], "of": "broken"}
    said = await browser.post(f"/executions/{execution.id}/retry", data=form)
    assert "broken has one more attempt" in said.text

    async def was_retried() -> bool:
        states = [attempt.state for attempt in await journey.computations(execution, "broken")]
        return states == ["failed", "failed"]

    await eventually(was_retried)
    await journey.unset_value(execution, "customer")
    said = await browser.post(f"/executions/{execution.id}/retry", data=form)
    assert "broken has one more attempt, once it is unblocked" in said.text
    await browser.post(f"/executions/{execution.id}/archive", data=form)
    assert (await journey.load(execution, include_archived=True)).archived_at is not None
    await browser.post(f"/executions/{execution.id}/unarchive", data=form)
    assert (await journey.load(execution)).archived_at is None
    gone = await browser.post(f"/executions/{execution.id}/explode", data=form)
    assert gone.status_code == 404


async def test_a_form_of_another_site_does_nothing(
    journey: Journey, site: str, browser: httpx.AsyncClient
) -> None:
    execution_id = await started(journey, price=1)
    path = f"/executions/{execution_id}/archive"
    await browser.get("/")
    token = browser.cookies["journey_csrf"]
    refused = [
        await browser.post(path),
        await browser.post(path, data={"csrf": "guessed"}),
        await browser.post(path, data={"csrf": token}, headers={"Origin": "http://evil"}),
        await browser.post(path, data={"csrf": token}, headers={"Sec-Fetch-Site": "cross-site"}),
    ]
    assert [answer.status_code for answer in refused] == [403] * 4
    assert (await journey.load(execution_id)).archived_at is None


async def test_nobody_gets_in_without_being_let_in(journey: Journey, site: str) -> None:
    async with httpx.AsyncClient(base_url=site) as stranger:
        for path in ("/", "/executions", "/events", "/static/style.css", "/executions/X"):
            answer = await stranger.get(path)
            assert answer.status_code == 401
            assert "Basic" in answer.headers["WWW-Authenticate"]
        assert (await stranger.get("/", auth=("ops", "wrong"))).status_code == 401
        odd = [(b"Authorization", "Basic é".encode("latin-1"))]
        assert (await stranger.get("/", headers=odd)).status_code == 401
    async with (
        served(dashboard(journey, auth=token_auth("a-token"))) as address,
        httpx.AsyncClient(base_url=address) as guest,
    ):
        assert (await guest.get("/?token=guess")).status_code == 403
        assert (await guest.get("/?token=a-token")).status_code == 200
        assert (await guest.get("/executions")).status_code == 200  # by its cookie
        assert (await guest.post("/executions/X/archive")).status_code in (404, 405)


async def test_it_can_be_mounted_and_hides_what_is_to_be_hidden(journey: Journey) -> None:
    execution = await journey.start_execution(GRAPH, {"customer": "secret name"})
    inner = dashboard(
        journey,
        auth=basic_auth("ops", "secret"),
        redact=lambda node, value: "•••" if node == "customer" else value,
    )
    async with (
        served(Starlette(routes=[Mount("/admin/journey", inner)])) as address,
        httpx.AsyncClient(base_url=address, auth=("ops", "secret")) as browser,
    ):
        page = (await browser.get(f"/admin/journey/executions/{execution.id}")).text
        assert "secret name" not in page
        assert "•••" in page
        assert "secret name" not in (await browser.get("/admin/journey/executions")).text
        links = set(re.findall(r'(?:href|src)="(/[^"]*)"', page))
        assert links
        assert all(link.startswith("/admin/journey/") for link in links)
        style = await browser.get("/admin/journey/static/style.css")
        assert style.status_code == 200


async def test_changes_are_told_and_who_goes_leaves_nothing_behind(
    journey: Journey, browser: httpx.AsyncClient
) -> None:
    execution_id = await started(journey, price=1)
    async with browser.stream("GET", f"/executions/{execution_id}/events") as stream:
        lines = stream.aiter_lines()
        async with asyncio.timeout(30):
            await journey.set_value(execution_id, "price", 2)  # be it before the stream looks
            while await anext(lines) != "event: changed":
                pass
    await eventually(lambda: waits_in(journey) == 0)
    missing = await browser.get("/executions/EXECnone/events")
    assert missing.status_code == 404


async def test_what_happens_before_a_stream_looks_is_told(journey: Journey) -> None:
    execution = await journey.load(await started(journey, price=1))
    changes = feed.execution_changes(journey, execution)
    await journey.set_value(execution, "price", 2)
    async with asyncio.timeout(30):
        await anext(changes)
    await changes.aclose()


async def test_who_comes_as_the_last_one_goes_is_told_of_changes(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "STATUS_INTERVAL", 0.01)
    status = feed.StatusFeed(journey)
    last = status.changes()
    going = asyncio.ensure_future(anext(last))
    await asyncio.sleep(0)  # it waits now
    going.cancel()
    changes = status.changes()
    coming = asyncio.ensure_future(anext(changes))
    try:
        async with asyncio.timeout(30):
            while not coming.done():
                await started(journey)
            await coming
    finally:
        coming.cancel()
        await asyncio.wait([going, coming])
        await changes.aclose()


async def test_who_watches_the_figures_is_told_when_they_cannot_be_read_any_more(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "STATUS_INTERVAL", 0.01)
    async with Journey(dsn) as journey:
        status = feed.StatusFeed(journey)
        watchers = [status.changes() for _ in range(2)]
        waiting = [asyncio.ensure_future(anext(watcher)) for watcher in watchers]
        await asyncio.sleep(0)  # they wait now
    async with asyncio.timeout(30):
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in ended] == [JourneyError, JourneyError]


async def test_a_page_of_any_number_is_answered(browser: httpx.AsyncClient) -> None:
    for page in ("0", "-1", "x", "9" * 9, "9" * 5000):
        assert (await browser.get("/executions", params={"page": page})).status_code == 200


async def test_what_is_no_page_is_the_first(
    journey: Journey, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PAGE", 1)
    for _ in range(3):
        await started(journey)
    for page, following in {"0": 2, "-1": 2, "1": 2, "2": 3}.items():
        text = (await browser.get("/executions", params={"page": page})).text
        assert re.findall(r'rel="next" href=".*page=(\d+)"', text) == [str(following)]


async def test_a_definition_that_cannot_be_read_hides_no_execution(
    journey: Journey, browser: httpx.AsyncClient, connection: Any
) -> None:
    execution_id = await started(journey)
    await connection.execute(OF_A_NEWER_RELEASE)
    page = await browser.get("/executions")
    assert page.status_code == 200
    assert execution_id in page.text


def test_a_row_of_a_list_is_no_more_work_for_an_execution_of_many_values() -> None:
    def work(size: int) -> Callable[[], object]:
        now, names = datetime.now(UTC), [f"x{n}" for n in range(size)]
        graph = Graph("g", "v1", [*map(input_node, names)])
        values = {x: NodeValue(x, NodeKind.INPUT, 1, None, 1, now) for x in names}
        execution = snapshot(new_state("E1", graph, now)._replace(values=values), graph)
        assert [name for name, _ in execution_row(execution, None).values] == names[:4]
        return lambda: execution_row(execution, None)

    assert growth(work) < 2
