"""The verbs that read one value: as it is, or once there is the one that is waited for."""

from typing import Any, TypedDict, TypeVar, Unpack, overload

from journey_async.client import waits
from journey_async.client.execution import Execution
from journey_async.client.looking import Looking
from journey_async.client.waits import RAISE
from journey_async.core.reference import NodeName, NodeRef
from journey_async.core.values import NodeValue
from journey_async.errors import WaitTimeout

T = TypeVar("T")
D = TypeVar("D")


class Waiting(TypedDict, total=False):
    """What is waited for, at most one of the first four, and for how many seconds."""

    wait_any: bool
    wait_new: bool
    newer_than: int | None
    settled: bool
    timeout: float | None


class Getting(Looking):
    """What a Journey can tell, and wait for."""

    @overload
    async def get_value(
        self, execution: Execution | str, node: NodeRef[T], **waiting: Unpack[Waiting]
    ) -> T: ...

    @overload
    async def get_value(
        self,
        execution: Execution | str,
        node: NodeRef[T],
        *,
        default: D,
        **waiting: Unpack[Waiting],
    ) -> T | D: ...

    @overload
    async def get_value(
        self,
        execution: Execution | str,
        node: str,
        *,
        default: Any = ...,
        **waiting: Unpack[Waiting],
    ) -> Any: ...

    async def get_value(
        self,
        execution: Execution | str,
        node: NodeName,
        *,
        wait_any: bool = False,
        wait_new: bool = False,
        newer_than: int | None = None,
        settled: bool = False,
        timeout: float | None = 30.0,
        default: Any = RAISE,
    ) -> Any:
        """The value of a node.

        At once; or `wait_any`: once it is set; `wait_new`: once its revision is newer than in the
        snapshot passed in (with an id: than at the call); `newer_than`: than that revision;
        `settled`: once it reflects everything that was set, during the wait, too. `timeout` in
        seconds, None: no limit. `default` is given instead of raising NotSetError or WaitTimeout.
        By a reference, from `Graph.node`, the value is read as its type.

        Raises NotSetError, WaitTimeout (which is one), ComputationFailed as soon as the attempts
        are used up, StoredTypeError for a value that is not of the node's type, UnknownNodeError,
        ExecutionNotFound, InvalidOptionError, DatabaseUnavailable.
        """
        try:
            found = await waits.get_node(
                self._engine,
                execution,
                node,
                wait_any=wait_any,
                wait_new=wait_new,
                newer_than=newer_than,
                settled=settled,
                timeout=timeout,
                default=default,
            )
        except WaitTimeout:
            if default is RAISE:
                raise
            return default
        return found.value

    @overload
    async def get_node(
        self, execution: Execution | str, node: NodeRef[T], **waiting: Unpack[Waiting]
    ) -> NodeValue[T]: ...

    @overload
    async def get_node(
        self,
        execution: Execution | str,
        node: NodeRef[T],
        *,
        default: D,
        **waiting: Unpack[Waiting],
    ) -> NodeValue[T | D]: ...

    @overload
    async def get_node(
        self,
        execution: Execution | str,
        node: str,
        *,
        default: Any = ...,
        **waiting: Unpack[Waiting],
    ) -> NodeValue: ...

    async def get_node(
        self,
        execution: Execution | str,
        node: NodeName,
        *,
        wait_any: bool = False,
        wait_new: bool = False,
        newer_than: int | None = None,
        settled: bool = False,
        timeout: float | None = 30.0,
        default: Any = RAISE,
    ) -> NodeValue[Any]:
        """As `get_value`, with the value's revision, metadata and time.

        Raises WaitTimeout in spite of a `default` if the database was away for so long that the
        kind of the node could not be read.
        """
        return await waits.get_node(
            self._engine,
            execution,
            node,
            wait_any=wait_any,
            wait_new=wait_new,
            newer_than=newer_than,
            settled=settled,
            timeout=timeout,
            default=default,
        )
