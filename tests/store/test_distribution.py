"""What a distributed PostgreSQL such as Citus refuses stands nowhere in sql/ (docs/scaling.md).

The SQL is parsed, and functions are looked up in the server's catalogue.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pglast
import pytest
from pglast import ast
from pglast.enums import ConstrType, LockClauseStrength
from pglast.visitors import Visitor

from journey_async.store.sql import folder, in_schema

SQL = Path(str(folder()))
QUERIES = {path.stem: path for path in sorted((SQL / "queries").glob("*.sql"))}
# Tables of which one row does not belong to one execution: small, they would be on every node.
SHARED = {"migrations", "graphs", "singletons", "tallies", "workers"}
# What locks rows of several executions at once, which is possible only where a schema is whole.
LOCKS_SEVERAL = {"apply_changes", "fold_tallies", "purge_archived"}
REFUSED = (ast.MergeStmt, ast.CreateTrigStmt, ast.CreateFunctionStmt, ast.RuleStmt, ast.DoStmt)
VOLATILITY = """
    SELECT proname AS name, max(provolatile::text) AS volatility
    FROM pg_proc WHERE proname = ANY ($1::text[]) GROUP BY proname
"""  # of several functions of a name the most volatile: i(mmutable), s(table), v(olatile)


def parsed(path: Path) -> tuple[Any, ...]:
    """The statements of a file."""
    text = in_schema(path.read_text(encoding="utf-8"), "journey").replace(':"role"', '"role"')
    return tuple(pglast.parse_sql(text))


def nodes(tree: Any, *kinds: type) -> list[Any]:
    """All nodes of some kinds in a tree."""
    found: list[Any] = []

    class Collector(Visitor):
        def visit(self, _ancestors: Any, node: Any) -> None:
            if isinstance(node, kinds):
                found.append(node)

    Collector()(tree)
    return found


def functions(tree: Any) -> set[str]:
    """The functions that a tree calls; those that SQL writes without brackets by their word."""
    called = {call.funcname[-1].sval for call in nodes(tree, ast.FuncCall)}
    return called | {"now" for _ in nodes(tree, ast.SQLValueFunction)}


def test_there_are_no_triggers_no_functions_and_no_merge() -> None:
    for path in SQL.rglob("*.sql"):
        assert nodes(parsed(path), *REFUSED) == [], path.name


def test_every_key_of_what_belongs_to_an_execution_begins_with_it() -> None:
    schema = parsed(SQL / "schema.sql")
    seen = set()
    for table in nodes(schema, ast.CreateStmt):
        name = table.relation.relname
        seen.add(name)
        if name not in SHARED:
            for element in table.tableElts:
                for constraint in _constraints(element):
                    _check(name, element, constraint)
    assert seen == SHARED | {"executions", "values", "computations"}
    for index in nodes(schema, ast.IndexStmt):
        if index.unique and index.relation.relname not in SHARED:
            assert index.indexParams[0].name in ("id", "execution_id"), index.idxname


def _constraints(element: Any) -> Sequence[Any]:
    if isinstance(element, ast.Constraint):
        return [element]
    return element.constraints or ()


def _check(table: str, element: Any, constraint: Any) -> None:
    distributed_by = "id" if table == "executions" else "execution_id"
    match constraint.contype:
        case ConstrType.CONSTR_PRIMARY | ConstrType.CONSTR_UNIQUE:
            first = constraint.keys[0].sval if constraint.keys else element.colname
            assert first == distributed_by, table
        case ConstrType.CONSTR_FOREIGN:
            assert element.colname == "execution_id", table
            assert constraint.pktable.relname == "executions", table
        case ConstrType.CONSTR_EXCLUSION:
            pytest.fail(f"{table} has an exclusion constraint")


async def test_what_is_written_does_not_depend_on_where_it_is_evaluated(connection: Any) -> None:
    """No volatile function in UPDATE and DELETE, and none but immutable ones in ON CONFLICT."""
    changing, on_conflict = set(), set()
    for path in QUERIES.values():
        for statement in nodes(parsed(path), ast.UpdateStmt, ast.DeleteStmt):
            parts = (getattr(statement, "targetList", None), statement.whereClause)
            for part in filter(None, parts):
                changing |= functions(part)
        for clause in nodes(parsed(path), ast.OnConflictClause):
            on_conflict |= functions(clause)
    rows = await connection.fetch(VOLATILITY, list(changing | on_conflict))
    volatility = {row["name"]: row["volatility"] for row in rows}
    assert {f for f in changing if volatility.get(f, "v") == "v"} == set()
    assert {f for f in on_conflict if volatility.get(f, "v") != "i"} == set()


def test_what_an_execution_is_distributed_by_never_changes() -> None:
    for name, path in QUERIES.items():
        for statement in nodes(parsed(path), ast.UpdateStmt):
            changed = {target.name for target in statement.targetList}
            assert not changed & {"id", "execution_id"}, name


def test_which_statements_lock_several_executions_is_known() -> None:
    locking = set()
    for name, path in QUERIES.items():
        for select in nodes(parsed(path), ast.SelectStmt):
            strong = [
                clause
                for clause in select.lockingClause or ()
                if clause.strength >= LockClauseStrength.LCS_FORKEYSHARE
            ]
            if strong and not _is_of_one_execution(select):
                locking.add(name)
    assert locking == LOCKS_SEVERAL


def _is_of_one_execution(select: Any) -> bool:
    """WHERE id = $1, and nothing else."""
    match select.whereClause:
        case ast.A_Expr(
            name=[ast.String(sval="=")],
            lexpr=ast.ColumnRef(fields=[*_, ast.String(sval="id")]),
            rexpr=ast.ParamRef(),
        ):
            return True
    return False


def test_no_statement_takes_an_advisory_lock() -> None:
    for name, path in QUERIES.items():
        assert not {f for f in functions(parsed(path)) if "advisory" in f}, name


def test_the_looks_above_find_what_they_look_for() -> None:
    bad = pglast.parse_sql(
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = current_timestamp;"
        "WITH u AS (UPDATE t SET a = 1 WHERE b < clock_timestamp()) SELECT 1;"
    )
    [conflict] = nodes(tuple(bad), ast.OnConflictClause)
    assert functions(conflict) == {"now"}
    [update] = nodes(tuple(bad), ast.UpdateStmt)
    assert functions(update.whereClause) == {"clock_timestamp"}
