"""The router of executions, by real HTTP."""

import asyncio
from datetime import date
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from pydantic import PlainSerializer

from journey_async import Graph, Journey, any_of, historian, input_node
from journey_async.contrib.fastapi import execution_router, journey_lifespan
from journey_async.errors import InvalidOptionError
from tests.contrib.shop import SECRET, other, settings, shop
from tests.support.eventually import eventually
from tests.support.serving import hanging, served
from tests.support.waits import waits_in

DAY = Annotated[date, PlainSerializer(lambda given: given.isoformat())]
LUIGI = {"name": "Luigi", "address": {"street name": "Main Street", "since": "1983-07-14"}}


async def started(client: httpx.AsyncClient, path: str = "/shop", **values: Any) -> str:
    answer = await client.post(path, json={"values": values})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_an_execution_is_started_read_set_and_unset(client: httpx.AsyncClient) -> None:
    answer = await client.post("/shop", json={"values": LUIGI})
    assert answer.status_code == 201
    path = answer.headers["Location"]
    assert path == f"/shop/{answer.json()['id']}"
    assert answer.json()["values"]["address"] == LUIGI["address"]

    body = {"values": {"name": "Mario", "anything": [1, None]}, "metadata": {"by": "test"}}
    answer = await client.patch(f"{path}/values", json=body)
    assert answer.status_code == 200
    greeting = await client.get(f"{path}/values/greeting", params={"wait": "settled"})
    assert greeting.json()["value"] == "Hello, Mario!"
    name = (await client.get(f"{path}/values/name")).json()
    assert name["value"] == "Mario"
    assert name["metadata"] == {"by": "test"}
    assert name["set_time"].endswith("+00:00")

    answer = await client.delete(f"{path}/values", params={"node": ["name", "anything"]})
    assert answer.status_code == 200
    read = (await client.get(path)).json()
    assert read == answer.json()
    assert read["values"].keys() == {"execution_id", "last_updated_at", "address"}
    assert read["archived_at"] is None
    assert (await client.get(f"{path}/values/greeting")).status_code == 404


async def test_a_singleton_is_found_or_started(client: httpx.AsyncClient) -> None:
    first, second = [await client.post("/settings") for _ in range(2)]
    assert first.status_code == second.status_code == 200
    assert first.json()["id"] == second.json()["id"]
    for empty in ("{ }", '{"values": {}}'):
        answer = await client.post("/settings", content=empty, headers=AS_JSON)
        assert answer.status_code == 200
    refused = await client.post("/settings", json={"values": {"name": "Mario"}})
    assert (refused.status_code, refused.json()["error"]) == (422, "InvalidOptionError")
    assert (await client.post("/shop")).status_code == 201  # and others need no values


AS_JSON = {"Content-Type": "application/json"}
BAD: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no execution": ("GET", "/shop/EXEC1", {}, 404, "ExecutionNotFound"),
    "no id": ("GET", "/shop/a%20b%00", {}, 404, "ExecutionNotFound"),
    "no node": ("GET", "{}/values/nothing", {}, 404, "UnknownNodeError"),
    "not set": ("GET", "{}/values/age", {}, 404, "NotSetError"),
    "of another type": ("PATCH", "{}/values", {"json": {"values": {"age": "1"}}}, 422, "Invalid"),
    "too small": ("PATCH", "{}/values", {"json": {"values": {"age": -1}}}, 422, "InvalidValue"),
    "no input": ("PATCH", "{}/values", {"json": {"values": {"greeting": 1}}}, 422, "NotAnInput"),
    "system node": (
        "PATCH",
        "{}/values",
        {"json": {"values": {"execution_id": 1}}},
        422,
        "NotAnInputError",
    ),
    "unknown node": ("PATCH", "{}/values", {"json": {"values": {"nothing": 1}}}, 422, "NotAnInput"),
    "nothing to set": ("PATCH", "{}/values", {"json": {}}, 422, "InvalidOption"),
    "null to start": ("POST", "/shop", {"content": "null", "headers": AS_JSON}, 422, "InvalidOpt"),
    "no values": ("PATCH", "{}/values", {"json": {"values": []}}, 422, "InvalidOption"),
    "more": ("PATCH", "{}/values", {"json": {"values": {}, "more": 1}}, 422, "InvalidOption"),
    "no object": ("PATCH", "{}/values", {"json": ["values"]}, 422, "InvalidOption"),
    "no body": ("PATCH", "{}/values", {}, 422, "InvalidRequest"),
    "start of another type": ("POST", "/shop", {"json": {"values": {"age": 1.5}}}, 422, "Inval"),
    "nothing to unset": ("DELETE", "{}/values", {}, 422, "InvalidRequest"),
    "unset no input": ("DELETE", "{}/values?node=greeting", {}, 422, "NotAnInputError"),
    "two waits": ("GET", "{}/values/age?wait=any&newer_than=1", {}, 422, "InvalidOptionError"),
    "odd wait": ("GET", "{}/values/age?wait=long", {}, 422, "InvalidRequest"),
    "too long": ("GET", "{}/values/age?timeout=1e9", {}, 422, "InvalidRequest"),
    "events of no node": ("GET", "{}/events?node=nothing", {}, 404, "UnknownNodeError"),
    "events of nothing": ("GET", "/shop/EXEC1/events", {}, 404, "ExecutionNotFound"),
    "odd revision": ("GET", "{}/events?since_revision=-1", {}, 422, "InvalidRequest"),
}
ODD = {
    "NaN": '{"values": {"anything": NaN}}',
    "huge": '{"values": {"anything": 1e999}}',
    "surrogate": '{"values": {"anything": "\\ud800"}}',
    "surrogate key": '{"values": {"\\ud800": 1}}',
    "surrogate member": '{"\\ud800": 1}',
    "null character": '{"values": {"anything": "\\u0000"}}',
    "no JSON": '{"values"',
    "deep": '{"values": {"anything": ' + "[" * 500 + "]" * 500 + "}}",
    "deeper": "[" * 100_000,
}


async def test_bad_requests_are_refused_and_change_nothing(client: httpx.AsyncClient) -> None:
    path = f"/shop/{await started(client)}"
    before = (await client.get(path)).json()
    for said, (method, at, sent, status, error) in BAD.items():
        answer = await client.request(method, at.format(path), **sent)
        assert answer.status_code == status, (said, answer.text)
        assert answer.json()["error"].startswith(error), said
        assert answer.json().keys() <= {"error", "detail", "node"}
    for said, text in ODD.items():
        answer = await client.patch(f"{path}/values", content=text, headers=AS_JSON)
        assert answer.status_code in (400, 422), said
    as_text = await client.patch(f"{path}/values", content='{"values": {"name": "Mario"}}')
    assert as_text.status_code == 422
    assert (await client.get(path)).json() == before


async def test_executions_of_other_graphs_are_not_found(
    client: httpx.AsyncClient, journey: Journey
) -> None:
    foreign = Graph("Foreign", "v1", [input_node("name")])
    newer = Graph("Other", "v2", other.nodes[2:])
    here = await started(client)
    ids = [(await journey.start_execution(g, {"name": "x"})).id for g in (foreign, newer)]
    for path in [*(f"/other/{i}" for i in [*ids, here]), *(f"/shop/{i}" for i in ids)]:
        answers = [
            await client.get(path),
            await client.get(f"{path}/values/name"),
            await client.patch(f"{path}/values", json={"values": {"name": "y"}}),
            await client.delete(f"{path}/values", params={"node": "name"}),
            await client.get(f"{path}/events"),
        ]
        assert [answer.status_code for answer in answers] == [404] * 5
        assert all(answer.json()["error"] == "ExecutionNotFound" for answer in answers)
    assert await journey.get_value(ids[0], "name") == "x"


async def test_hidden_nodes_stay_inside_and_read_only_ones_are_not_set(
    client: httpx.AsyncClient, journey: Journey
) -> None:
    execution = await journey.start_execution(shop, {"ssn": "123-45", "paid": True, "name": "x"})
    await journey.get_value(execution, "score", wait_any=True)
    path = f"/shop/{execution.id}"
    values = (await client.get(path)).json()["values"]
    assert {"ssn", "score"}.isdisjoint(values)
    assert values["paid"] is True
    for sent in ({"ssn": "1"}, {"paid": False}):
        assert (await client.post("/shop", json={"values": sent})).status_code == 422
        assert (await client.patch(f"{path}/values", json={"values": sent})).status_code == 422
    for node in ("ssn", "score"):
        assert (await client.get(f"{path}/values/{node}")).status_code == 404
        assert (await client.get(f"{path}/events", params={"node": node})).status_code == 404
    assert (await client.delete(f"{path}/values", params={"node": "paid"})).status_code == 422
    async with client.stream("GET", f"{path}/events", params={"since_revision": 0}) as stream:
        lines = stream.aiter_lines()
        told = ""
        while "goods" not in told:
            told += await anext(lines)
    assert "ssn" not in told
    assert "123-45" not in told


async def test_an_archived_execution_is_read_and_not_written(
    client: httpx.AsyncClient, journey: Journey
) -> None:
    path = f"/shop/{await started(client, name='Mario')}"
    await journey.archive(path.rpartition("/")[2])
    read = await client.get(path)
    assert read.status_code == 200
    assert read.json()["archived_at"] is not None
    written = await client.patch(f"{path}/values", json={"values": {"age": 1}})
    waited = await client.get(f"{path}/values/age", params={"wait": "any", "timeout": 0.01})
    for refused in (written, waited):
        assert refused.status_code == 409
        assert refused.json()["error"] == "ExecutionArchivedError"


async def test_waits_end_with_the_value_with_the_time_or_with_a_failure(
    client: httpx.AsyncClient,
) -> None:
    path = f"/shop/{await started(client)}"
    value = f"{path}/values/name"
    too_late = await client.get(value, params={"wait": "any", "timeout": 0.01})
    assert too_late.status_code == 204
    assert too_late.content == b""
    assert (await client.get(value, params={"wait": "settled"})).status_code == 404

    waiting = asyncio.create_task(client.get(value, params={"wait": "any", "timeout": 30}))
    await client.patch(f"{path}/values", json={"values": {"name": "Mario"}})
    first = (await waiting).json()
    assert first["value"] == "Mario"
    waiting = asyncio.create_task(
        client.get(value, params={"newer_than": first["revision"], "timeout": 30})
    )
    await client.patch(f"{path}/values", json={"values": {"name": "Peach"}})
    assert (await waiting).json()["value"] == "Peach"

    await client.patch(f"{path}/values", json={"values": {"age": 1}})
    failed = await client.get(f"{path}/values/broken", params={"wait": "any", "timeout": 30})
    assert failed.status_code == 409
    assert failed.json()["error"] == "ComputationFailed"
    assert SECRET not in failed.text


@pytest.mark.parametrize(
    "asked", ["/values/never?wait=any&timeout=30", "/events", "/events?node=name&since_revision=0"]
)
async def test_a_client_that_goes_leaves_nothing_behind(
    client: httpx.AsyncClient, address: str, journey: Journey, asked: str
) -> None:
    path = f"/shop/{await started(client, name='Mario')}"
    await journey.get_value(path.rpartition("/")[2], "greeting", wait_any=True)
    tasks = asyncio.all_tasks()
    async with hanging(address, path + asked):
        await eventually(lambda: waits_in(journey) == 1)
    await eventually(lambda: waits_in(journey) == 0)
    await eventually(lambda: asyncio.all_tasks() <= tasks)


async def test_events_are_told_and_resumed_from_the_last_one(
    client: httpx.AsyncClient, journey: Journey
) -> None:
    path = f"/other/{(await client.post('/other')).json()['id']}"
    both = {"name": "Mario", "count": 1}

    async def told(number: int, **headers: str) -> list[tuple[str, str]]:
        """The ids and data of so many events."""
        found: list[tuple[str, str]] = []
        async with client.stream("GET", f"{path}/events", headers=headers) as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            assert stream.headers["Cache-Control"] == "no-store"
            await client.patch(f"{path}/values", json={"values": both})
            last_id = ""
            async for line in stream.aiter_lines():
                field, _, content = line.partition(": ")
                if field == "id":
                    last_id = content
                elif field == "data":
                    found.append((last_id, content))
                if len(found) == number:
                    return found
        return found

    first, second = await told(2)
    assert '"node": "count", "value": 1' in first[1]
    assert '"node": "name", "value": "Mario"' in second[1]
    # Both are of revision 1: who has seen but one of them is told it again.
    assert (first[0], second[0]) == ("0", "1")
    assert await told(2, **{"Last-Event-ID": first[0]}) == [first, second]
    both["name"] = "Peach"
    [third] = await told(1, **{"Last-Event-ID": second[0]})
    assert '"node": "name", "value": "Peach"' in third[1]


async def test_who_is_cut_off_before_the_first_event_misses_none(
    client: httpx.AsyncClient,
) -> None:
    path = f"/other/{await started(client, '/other', name='Mario')}"
    async with client.stream("GET", f"{path}/events") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("id: "):
                break
    await client.patch(f"{path}/values", json={"values": {"name": "Peach"}})
    headers = {"Last-Event-ID": line.removeprefix("id: ")}
    async with client.stream("GET", f"{path}/events", headers=headers) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                break
    assert '"value": "Peach"' in line


async def test_a_type_that_serializes_by_a_function_of_its_own_is_told_when_cleared(
    dsn: str,
) -> None:
    graph = Graph("days", "v1", [input_node("day", type=DAY)])
    app = FastAPI(lifespan=journey_lifespan(dsn, graphs=[graph]))
    app.include_router(execution_router([graph]))
    async with served(app) as address, httpx.AsyncClient(base_url=address) as client:
        journey: Journey = app.state.journey
        execution = await journey.start_execution(graph, {"day": date(1983, 7, 14)})
        await journey.unset_value(execution, "day")
        path = f"/days/{execution.id}/events?since_revision=0"
        async with client.stream("GET", path) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    break
    assert '"kind": "cleared", "revision": 2, "node": "day", "value": null' in line


@pytest.mark.parametrize("types", [(DAY, Any), (Any, DAY)], ids=["no type", "a type"])
async def test_an_execution_of_another_definition_is_shown_by_that(
    dsn: str, types: tuple[Any, Any]
) -> None:
    known, other_one = (Graph("days", "v1", [input_node("day", type=type)]) for type in types)
    assert known.hash != other_one.hash
    app = FastAPI(lifespan=journey_lifespan(dsn, graphs=[other_one]))
    app.include_router(execution_router([known]))
    async with served(app) as address, httpx.AsyncClient(base_url=address) as client:
        journey: Journey = app.state.journey
        execution = await journey.start_execution(other_one)
        path = f"/days/{execution.id}"
        sent = {"values": {"day": "1983-07-14"}}
        shown = await client.patch(f"{path}/values", json=sent)
        assert (shown.status_code, shown.json()["values"]["day"]) == (200, "1983-07-14")
        value = await client.get(f"{path}/values/day")
        assert (value.status_code, value.json()["value"]) == (200, "1983-07-14")
        async with client.stream("GET", f"{path}/events?since_revision=0") as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    break
        assert '"node": "day", "value": "1983-07-14"' in line


async def test_why_an_attempt_failed_is_not_told(client: httpx.AsyncClient) -> None:
    path = f"/shop/{await started(client)}"
    async with client.stream("GET", f"{path}/events", params={"node": "broken"}) as stream:
        await client.patch(f"{path}/values", json={"values": {"age": 1}})
        told = ""
        async for line in stream.aiter_lines():
            told += line
            if '"failed"' in line:
                break
    assert SECRET not in told


async def test_a_stream_that_says_nothing_is_kept_alive_and_ends_with_the_journey(
    client: httpx.AsyncClient, journey: Journey
) -> None:
    path = f"/shop/{await started(client)}"
    async with client.stream("GET", f"{path}/events") as stream:
        lines = stream.aiter_lines()
        while not (await anext(lines)).startswith(":"):
            pass
        await journey.close()
        assert [line async for line in lines if line.startswith("data")] == []


async def test_dependencies_protect_every_route(dsn: str) -> None:
    async def nobody() -> None:
        raise HTTPException(401)

    app = FastAPI(lifespan=journey_lifespan(dsn, graphs=[other]))
    app.include_router(execution_router([other], dependencies=[Depends(nobody)]))
    async with served(app) as address, httpx.AsyncClient(base_url=address) as client:
        asked = [
            (method, path.format(execution_id="EXEC1", node="name"))
            for path, methods in app.openapi()["paths"].items()
            for method in methods
        ]
        assert len(asked) == 6
        for method, path in asked:
            assert (await client.request(method, path)).status_code == 401


def test_openapi_has_the_types_of_each_graph() -> None:
    app = FastAPI()
    app.include_router(execution_router([shop, other, settings], prefix="/api", hidden=["ssn"]))
    described = app.openapi()
    paths, schemas = described["paths"], described["components"]["schemas"]

    def sent(path: str) -> Any:
        return paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert sent("/api/shop-more")["properties"]["values"]["$ref"].endswith("/ShopMoreInputs")
    assert sent("/api/other")["properties"]["values"]["$ref"].endswith("/OtherInputs")
    inputs = schemas["ShopMoreInputs"]["properties"]
    assert inputs.keys() == {"name", "age", "address", "anything", "paid"}
    assert inputs["age"] == {"type": "integer", "minimum": 0, "title": "age"}
    assert inputs["address"] == {"$ref": "#/components/schemas/Address", "title": "address"}
    assert schemas["Address"]["required"] == ["street name", "since"]
    for path in ("/api/shop-more", "/api/other", "/api/settings"):
        assert {"400", "422"} <= paths[path]["post"]["responses"].keys()
    assert schemas["OtherInputs"]["properties"]["count"]["type"] == "integer"
    assert "required" not in schemas["OtherInputs"]
    assert "greeting" in schemas["ShopMoreValues"]["properties"]
    assert "ssn" not in str(described)


def test_graphs_need_paths_of_their_own_and_options_that_mean_something() -> None:
    signs = Graph("☃", "v1", [])
    execution_router({"snow-man": signs, "old/other": other, "other": other})
    for graphs in ([signs], [other, other], {"/other": other}, {"": other}, ["other"], {"a": 1}):
        with pytest.raises(InvalidOptionError):
            execution_router(graphs)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match=r"execution_router\(\[graph\]\)"):
        execution_router(other)  # type: ignore[arg-type]
    tells = Graph(
        "tells", "v1", [input_node("ssn"), input_node("n"), historian("log", any_of("ssn", "n"))]
    )
    with pytest.raises(InvalidOptionError, match="the historian 'log' of graph 'tells' records"):
        execution_router([tells], hidden=["ssn"])
    execution_router([tells], hidden=["ssn", "log"])
    for options in ({"hidden": ["nothing"]}, {"read_only": "name"}, {"max_wait": -1}):
        with pytest.raises(InvalidOptionError):
            execution_router([other], **options)


async def test_the_name_of_a_node_may_be_any_text(dsn: str) -> None:
    names = ["a/b", "two\nlines", "ends\n", "50% & more?", "ünïcode", "#", "../up"]
    graph = Graph("Odd", "v1", list(map(input_node, names)))
    app = FastAPI(lifespan=journey_lifespan(dsn, graphs=[graph]))
    app.include_router(execution_router([graph]))
    async with served(app) as address, httpx.AsyncClient(base_url=address) as client:
        path = f"/odd/{await started(client, '/odd', **dict.fromkeys(names, 1))}"
        for name in names:
            answer = await client.get(f"{path}/values/" + quote(name, safe=""))
            assert (answer.status_code, answer.json().get("value")) == (200, 1), name
        answer = await client.get(f"{path}/values/" + quote("no\nsuch"))
        assert (answer.status_code, answer.json()["error"]) == (404, "UnknownNodeError")
