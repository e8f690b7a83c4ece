"""list_executions and count_executions: checks what they are given, then lets the store search."""

from collections.abc import Iterable, Sequence

from journey_async.client.execution import Execution, snapshot
from journey_async.client.options import flag, is_whole, shown, storable_text
from journey_async.core.conditions import Condition, as_condition, leaves
from journey_async.core.description import Description
from journey_async.core.reference import NodeName, NodeRef
from journey_async.engine.engine import Engine
from journey_async.errors import InvalidOptionError, listed
from journey_async.store.filters import (
    WITH_OPERAND,
    WITHOUT_OPERAND,
    Filter,
    checked_name,
)
from journey_async.store.search import (
    COLUMNS,
    Order,
    Search,
    Selection,
    count_statement,
    page_statement,
)

MAX_COUNT = 2**63 - 1
MAX_KEYS = 20  # each node to order by is a join
DIRECTIONS = {"asc": False, "desc": True}


async def list_executions(
    engine: Engine,
    *,
    graph_name: str | None = None,
    graph_version: str | None = None,
    where: Condition | None = None,
    filter_by: Sequence[tuple[object, ...]] = (),
    order_by: Sequence[NodeName | tuple[NodeName, str]] = ("updated_at",),
    limit: int = 100,
    offset: int = 0,
    include_archived: bool = False,
) -> list[Execution]:
    """A page of the executions that meet `where` and all of `filter_by`.

    `filter_by` holds (node, operator) and (node, operator, operand); the operators stand in
    `journey_async.store.filters`. `order_by` holds names of columns or nodes, or (name, "asc" or
    "desc"); equal ones are ordered by id. Of a graph that nobody knows there are none.

    Raises InvalidOptionError before anything is sent, for a node that the graph (given by name and
    version) doesn't have, too; DatabaseUnavailable.
    """
    selection = _selection(
        engine, graph_name, graph_version, where, filter_by, include_archived=include_archived
    )
    order = _order(order_by)
    page = page_statement(selection, order, _count("limit", limit), _count("offset", offset))
    await _refuse_unknown_nodes(engine, selection, order)
    search = Search(engine.store)
    states = await engine.patiently(lambda: search.page(page))
    graphs = await engine.patiently(lambda: engine.registry.graphs_of(states))
    return [snapshot(state, graph) for state, graph in zip(states, graphs, strict=True)]


async def count_executions(
    engine: Engine,
    *,
    graph_name: str | None = None,
    graph_version: str | None = None,
    where: Condition | None = None,
    filter_by: Sequence[tuple[object, ...]] = (),
    include_archived: bool = False,
) -> int:
    """How many executions meet `where` and all of `filter_by`; raises as `list_executions`."""
    selection = _selection(
        engine, graph_name, graph_version, where, filter_by, include_archived=include_archived
    )
    count = count_statement(selection)
    await _refuse_unknown_nodes(engine, selection, ())
    search = Search(engine.store)
    return await engine.patiently(lambda: search.count(count))


def _selection(
    engine: Engine,
    graph_name: object,
    graph_version: object,
    where: object,
    filter_by: object,
    *,
    include_archived: bool,
) -> Selection:
    if graph_version is not None and graph_name is None:
        raise InvalidOptionError("graph_version means nothing without graph_name; give both")
    if isinstance(where, str):  # which is the name of a node in a gate; here it would find nothing
        raise InvalidOptionError(
            f"where wants a condition, such as value('x') > 1 or provided('x'), not {shown(where)}"
        )
    return Selection(
        now=engine.clock.now(),
        graph_name=_name("graph_name", graph_name),
        graph_version=_name("graph_version", graph_version),
        where=None if where is None else as_condition(where),
        filters=tuple(_filter(item) for item in _listed("filter_by", filter_by)),
        include_archived=flag("include_archived", include_archived),
    )


def _name(option: str, given: object) -> str | None:
    return None if given is None else storable_text(option, given)


def _listed(option: str, given: object) -> Sequence[object]:
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise InvalidOptionError(f"{option} must be a list, not {shown(given)}")
    return given


def _filter(item: object) -> Filter:
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        raise InvalidOptionError(
            f"filter_by holds (node, operator) and (node, operator, operand), not {shown(item)}"
        )
    named, operator, *operand = item
    node = checked_name(named)
    if not isinstance(operator, str) or operator not in WITH_OPERAND | WITHOUT_OPERAND:
        known = ", ".join(sorted(WITH_OPERAND | WITHOUT_OPERAND))
        raise InvalidOptionError(
            f"filter_by has no operator {shown(operator)}; its operators are {known}"
        )
    if bool(operand) is (operator in WITHOUT_OPERAND):
        wants = "no operand" if operand else "an operand"
        raise InvalidOptionError(f"{operator} wants {wants}: {shown(item)}")
    return Filter(node, operator, *operand)


def _order(order_by: object) -> list[Order]:
    items = _listed("order_by", order_by)
    if len(items) > MAX_KEYS:
        raise InvalidOptionError(f"order_by takes at most {MAX_KEYS} names, not {len(items)}")
    return [_order_item(item) for item in items]


def _order_item(item: object) -> Order:
    match item:
        case "asc" | "desc":
            raise InvalidOptionError(
                f'a direction belongs to a name: order_by=[("name", "{item}")]'
            )
        case str() | NodeRef():
            return Order(checked_name(item))
        case (str() | NodeRef() as name, "asc" | "desc" as direction):
            return Order(checked_name(name), DIRECTIONS[direction])
    raise InvalidOptionError(
        f'order_by holds names, and tuples of a name and "asc" or "desc", not {shown(item)}'
    )


def _count(option: str, number: object) -> int:
    if not is_whole(number) or not 0 <= number <= MAX_COUNT:
        raise InvalidOptionError(
            f"{option} must be a whole number from 0 to 2**63 - 1, not {shown(number)}"
        )
    return number


async def _refuse_unknown_nodes(
    engine: Engine, selection: Selection, order: Iterable[Order]
) -> None:
    """Refuse what no definition of the graph has; says nothing about a graph nobody knows."""
    name, version = selection.graph_name, selection.graph_version
    if name is None or version is None:
        return
    asked = {item.node: "filter" for item in selection.filters}
    if selection.where is not None:
        asked |= {leaf.node: "filter" for leaf in leaves(selection.where)}
    asked |= {item.name: "order" for item in order if item.name not in COLUMNS}
    registered = engine.registry.registered(name, version)
    if not asked or (registered is not None and asked.keys() <= registered.by_name.keys()):
        return
    # An execution may still be on an older definition.
    key = (name, version)
    found = await engine.patiently(lambda: engine.store.graphs({key: ()}))
    known = dict.fromkeys(registered.by_name) if registered is not None else {}
    for definition in (Description(d.text) for d in found[key] if d.text is not None):
        known |= dict.fromkeys(definition.kinds())
    for node, purpose in asked.items():
        if known and node not in known:
            raise InvalidOptionError(
                f"graph {name!r} version {version!r} has no node {node!r:.80} to {purpose} by; "
                f"its nodes are {listed(list(known))}"
            )
