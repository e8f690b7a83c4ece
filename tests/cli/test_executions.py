"""An execution's life from the shell: with the code elsewhere, in a Journey of the test."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from journey_async import Execution, Graph, Journey, input_node
from tests.cli.conftest import APP, Run
from tests.cli.graphs_of_a_shop import graphs, shop

OTHER_IS_NEWER = """
    UPDATE journey.graphs SET definition = definition || '{"colour": "red"}' WHERE name = 'other'
"""


@pytest.fixture
async def worker(dsn: str) -> AsyncIterator[Journey]:
    async with Journey(dsn, graphs=graphs) as worker:
        yield worker


async def test_a_graph_is_started_set_and_read_without_its_code(
    worker: Journey, journey: Run
) -> None:
    started = (await journey("start", "shop", "price=12")).out.strip()
    assert (await worker.load(started)).graph_name == "shop"
    assert (await journey("get", started, "total", code=3)).err.startswith("error: node 'total'")
    told = await journey("set", started, "amount=3", "customer=Mario", "--json")
    assert told.data["id"] == started
    assert (await journey("get", started, "total", "--wait")).data == 36
    assert (await journey("get", started, "customer")).data == "Mario"
    node = (await journey("get", started, "total", "--settled", "--json")).data
    assert (node["node"], node["kind"], node["value"]) == ("total", "compute", 36)
    await journey("unset", started, "amount")
    await journey("get", started, "total", code=3)
    shown = (await journey("values", started, "--all")).out.splitlines()
    assert any(line.split() == ["price", "1", "12"] for line in shown)
    assert any(line.startswith("total") and "(not set)" in line for line in shown)


async def test_a_start_with_an_id_can_be_repeated(worker: Journey, journey: Run) -> None:
    for price in ("1", "2"):
        started = await journey("start", "shop", f"price={price}", "--id", "order-17")
        assert started.out.strip() == "order-17"
    assert (await journey("get", "order-17", "price")).data == 1
    assert "execution_id must be" in (await journey("start", "shop", "--id", "a b", code=2)).err


async def test_a_definition_that_cannot_be_read_is_no_matter_to_a_graph_that_is_given(
    worker: Journey, journey: Run, connection: Any
) -> None:
    await worker.register(Graph("other", "v1", []))
    await connection.execute(OTHER_IS_NEWER)
    await journey("start", "shop", "--app", f"{APP}:shop")


async def test_of_several_versions_the_one_registered_last_is_started(
    dsn: str, journey: Run
) -> None:
    for version in ("v2", "v1"):
        async with Journey(dsn, graphs=[Graph("versions", version, [input_node("x")])]):
            pass
    for _ in range(3):
        assert (await journey("start", "versions", "--json")).data["graph_version"] == "v1"


async def test_what_is_printed_is_what_the_client_tells(worker: Journey, journey: Run) -> None:
    execution = await worker.start_execution(shop, {"price": 60, "amount": 2})
    await worker.get_value(execution, "warning", wait_any=True)
    assert (await journey("show", execution.id)).out.startswith("Execution summary:")
    assert (await journey("show", execution.id, "--mermaid")).out.strip() == (
        await worker.mermaid(execution)
    )
    everything = (await journey("show", execution.id, "--json")).data
    assert everything["values"]["warning"] == "120 is much"
    assert {c["node"]: c["state"] for c in everything["computations"]} == {
        "total": "success",
        "warning": "success",
    }
    waiting = (await journey("waiting", execution.id, "warning")).out
    assert "total > 100" in waiting
    assert "price: 60" in (await journey("why", execution.id, "warning")).out
    causes = (await journey("why", execution.id, "warning", "--json")).data
    assert [(one["node"], one["value"]) for one in causes] == [
        ("warning", "120 is much"),
        ("total", 120),
        ("price", 60),
        ("amount", 2),
    ]
    assert causes[1]["inputs"] == [{"node": n, "revision": 1} for n in ("price", "amount")]
    assert (await journey("preview", execution.id, "price=1")).out.splitlines() == [
        "set: price",
        "computed: total",
        "perhaps computed: warning",
        "kept: amount",
    ]
    history = (await journey("history", execution.id, "--json")).data
    assert [entry["node"] for entry in history if entry["kind"] == "computation"] == [
        "total",
        "warning",
    ]
    [total] = (await journey("computations", execution.id, "total", "--json")).data
    assert total["computed_with"] == {"price": 1, "amount": 1}


async def test_what_failed_can_be_retried_and_what_runs_be_given_up(
    worker: Journey, journey: Run, dsn: str
) -> None:
    started = (await journey("start", "broken", "price=7", "--json")).data["id"]
    failed = await journey("get", started, "payment", "--wait", "--timeout", "60", code=1)
    assert "nobody pays 7" in failed.err
    await journey("retry", started, "payment")
    again = await journey("get", started, "payment", "--wait", "--timeout", "60", "--json", code=1)
    assert '"ComputationFailed"' in again.err
    gone = await journey("abandon", f"{started}:payment:1", code=3)
    assert "that runs" in gone.err


async def test_a_retry_says_why_nothing_is_tried(worker: Journey, journey: Run) -> None:
    execution = await worker.start_execution(shop, {"price": 60, "amount": 1})
    await worker.get_value(execution, "total", wait_any=True)
    blocked = (
        f"error: warning is blocked and was not tried, but will be once its conditions hold; "
        f"`journey waiting {execution.id} warning` shows them\n"
    )
    never = await journey("retry", execution.id, "warning", code=1)
    assert never.err == blocked
    await worker.set_value(execution, "amount", 2)
    await worker.get_value(execution, "warning", wait_any=True)
    assert "revision" in (await journey("retry", execution.id, "warning")).out
    await worker.set_value(execution, "amount", 1)
    closed = await journey("retry", execution.id, "warning", code=1)
    assert closed.err == blocked
    await worker.close()
    await journey("set", execution.id, "amount=3")
    queued = await journey("retry", execution.id, "total", code=1)
    assert queued.err == "error: total runs or is queued already; there is nothing to retry\n"


async def test_executions_are_archived_one_by_one_or_by_a_condition(
    worker: Journey, journey: Run
) -> None:
    ids = [(await worker.start_execution(shop, {"price": n})).id for n in range(4)]
    await journey("archive", ids[0])
    refused = await journey("set", ids[0], "price=5", code=1)
    assert "unarchive it first" in refused.err
    await journey("unarchive", ids[0])
    assert (await journey("archive", "--where", "price > 1")).out.strip() == "2 archived"
    assert (await journey("count", "--graph", "shop")).out.strip() == "2"
    assert (await journey("count", "--archived", "--json")).data == {"count": 4}
    await journey("archive", code=2)
    assert (await journey("purge", "--older-than", "1d", "--json")).data == {"purged": 0}
    assert (await journey("purge", "--older-than", "0s")).out.strip() == "2 executions are gone"
    assert (await journey("count", "--archived", "--json")).data == {"count": 2}
    await journey("purge", code=2)


async def test_what_changes_between_the_pages_hides_nothing_from_archive(
    worker: Journey, journey: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = sorted([(await worker.start_execution(shop, {"price": 5})).id for _ in range(5)])
    listed, archived = Journey.list_executions, Journey.archive

    async def leaves_and_is_purged(self: Journey, **search: Any) -> list[Execution]:
        found = await listed(self, **search)
        if ids[0] in [execution.id for execution in found]:
            await archived(self, ids[0])
            await self.purge(older_than=0)
        return found

    monkeypatch.setattr("journey_async.cli.commands.writing.PAGE", 2)
    monkeypatch.setattr(Journey, "list_executions", leaves_and_is_purged)
    assert (await journey("archive", "--where", "price = 5")).out.strip() == "4 archived"
    assert (await journey("count")).out.strip() == "0"


@pytest.mark.parametrize("every", ["0", "-1", "nan", "inf"])
async def test_a_pause_that_is_none_is_refused(dsn: str, journey: Run, every: str) -> None:
    assert "--every" in (await journey("status", "--every", every, code=2)).err


async def test_an_age_without_a_unit_is_not_taken_for_seconds(
    worker: Journey, journey: Run
) -> None:
    for age in ("90", "1.5", "90 d", "-1d", "999999999w"):
        refused = await journey("purge", "--older-than", age, code=2)
        assert refused.err == (
            f"error: a duration with its unit is wanted, as in 90s, 15m, 12h or 30d, not {age!r}\n"
        )


async def test_executions_are_searched_by_their_values(worker: Journey, journey: Run) -> None:
    for price in range(5):
        execution = await worker.start_execution(shop, {"price": price, "amount": 1})
        await worker.get_value(execution, "total", wait_any=True)
    found = await journey(
        "list", "--graph", "shop", "--where", "total > 2 or price = 0", "--order-by", "price:desc",
        "--json",
    )  # fmt: skip
    assert [execution["values"]["price"] for execution in found.lines] == [4, 3, 0]
    table = await journey("list", "--where", "total = 4", "--show", "total", "--limit", "1")
    assert table.out.splitlines()[1].split()[-1] == "4"
    wrong = await journey("list", "--where", "total >", code=2)
    assert "cannot be read" in wrong.err


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["get", "EXECnone", "x"], 3),
        (["get", "not an id", "x"], 3),
        (["start", "nobody"], 3),
        (["set", "EXECnone", "x"], 2),
        (["set", "EXECnone"], 2),
        (["start", "shop", "total=1"], 2),
        (["start", "shop", "nothing=1"], 3),
        (["list", "--limit", "-1"], 2),
        (["nothing"], 2),
        (["worker"], 2),
        (["worker", "--app", "nowhere:journey"], 2),
        (["worker", "--app", f"{APP}:journey", "--metrics-port", "0"], 2),
        (["worker", "--app", f"{APP}:Journey.nothing"], 2),
        (["worker", "--app", f"{APP}:Graph"], 2),
        (["worker", "--app", f"{APP}:total"], 2),
        (["worker", "--app", f"{APP}:found_later"], 2),
        (["funnel", "shop", "v1", "--ends-after", "soon"], 2),
    ],
)
async def test_what_goes_wrong_has_its_exit_code(
    worker: Journey, journey: Run, arguments: list[str], code: int
) -> None:
    answer = await journey(*arguments, code=code)
    assert answer.err
    assert "Traceback" not in answer.err


async def test_a_wait_in_vain_has_its_exit_code(worker: Journey, journey: Run) -> None:
    execution = await worker.start_execution(shop)
    answer = await journey("get", execution.id, "total", "--wait", "--timeout", "0.01", code=4)
    assert "within 0.01 seconds" in answer.err


async def test_with_the_code_values_are_checked_by_their_types(
    worker: Journey, journey: Run
) -> None:
    wrong = await journey("start", "shop", "price=dear", "--app", f"{APP}:shop", code=2)
    assert "'price'" in wrong.err


async def test_figures_are_printed_as_text_data_and_chart(worker: Journey, journey: Run) -> None:
    execution = await worker.start_execution(shop, {"price": 1, "amount": 1})
    await worker.get_value(execution, "total", wait_any=True)
    assert (await journey("status")).out.startswith("System Status: HEALTHY")
    status = (await journey("status", "--json")).data
    assert [graph["graph_name"] for graph in status["graphs"]] == ["shop"]
    assert "NODE STATS" in (await journey("funnel", "shop", "v1")).out
    nodes: list[Any] = (await journey("funnel", "shop", "v1", "--json")).data["node_stats"]["nodes"]
    assert {node["node_name"]: node["reached_count"] for node in nodes}["total"] == 1
    assert "100.0 %" in (await journey("funnel", "shop", "v1", "--chart")).out
    known = (await journey("graphs")).out
    assert "price, amount, customer" in known
    assert (await journey("graphs", "--mermaid", "shop")).out.startswith("graph TD")
    await journey("graphs", "--mermaid", "shed", code=3)
    names = [graph["name"] for graph in (await journey("graphs", "--json")).lines]
    assert sorted(names) == ["broken", "shop"]


@pytest.mark.parametrize(
    "arguments, code, says",
    [
        (["archive", "--where", "not is_true(piad)"], 2, "no graph has a node 'piad'"),
        (["archive", "--graph", "shop", "--where", "~provided(typo)"], 2, "no version of graph"),
        (
            ["archive", "--graph", "shop", "--version", "v1", "--where", "~provided(typo)"],
            2,
            "has no node 'typo'",
        ),
        (
            ["archive", "--graph", "shop", "--version", "v2", "--where", "price = 1"],
            3,
            "'shop v1'",
        ),
        (["list", "--graph", "shap"], 3, "registered are 'broken', 'shop'"),
        (["list", "--order-by", "-created_at"], 2, "no graph has a node '-created_at'"),
        (["list", "--show", "totl"], 2, "there are 'execution_id', 'last_updated_at', 'price'"),
        (["count", "--graph", "shop", "--where", "totl > 3"], 2, "has a node 'totl'"),
        (["funnel", "shop", "v7"], 3, "'shop' version 'v7' is not registered"),
        (["start", "shap"], 3, "registered are"),
    ],
)
async def test_what_nobody_has_registered_is_refused(
    worker: Journey, journey: Run, arguments: list[str], code: int, says: str
) -> None:
    execution = await worker.start_execution(shop, {"price": 1})
    assert says in (await journey(*arguments, code=code)).err
    assert (await worker.load(execution)).archived_at is None
