"""The names of the moments at which it matters what is durable and who knows of it.

Between any two of them a process can die, and another one must be able to carry on. The parts of
an engine are handed one `Points` and tell it what they reach. It does nothing; a test hands in one
that ends the engine there.

    BEFORE_WAKE                                   the alarm clock is about to submit a Wake
      BEFORE_COMMIT  BEFORE_BEGIN  BEFORE_RECORD  decided; the database knows nothing of it
        ANSWER_LOST                               committed; the answer has not been looked at
      AFTER_COMMIT   AFTER_BEGIN   AFTER_RECORD   committed; nobody in this process was told
    BEFORE_NOTIFY, AFTER_NOTIFY                   around telling waits, the alarm clock, on_save
    BEFORE_FUNCTION, AFTER_FUNCTION               around the call of a node's function
    HEARTBEAT                                     in the thread that shows that this worker lives
      BEFORE_RELEASE, AFTER_RELEASE               around giving the work of the dead to others
    LISTENER                                      another process has written

Other processes are notified with the commit itself: there is no moment between the two.
"""

from collections.abc import Collection
from enum import Enum
from typing import ClassVar


class Point(Enum):
    """A moment in the life of an engine; its value says where things stand."""

    BEFORE_COMMIT = "changes are decided, nothing of them is written"
    BEFORE_BEGIN = "a computation is about to be begun, nothing of it is written"
    BEFORE_RECORD = "the end of an attempt is about to be recorded, nothing of it is written"
    ANSWER_LOST = "changes are committed, and the answer that says so has not been taken in"
    AFTER_COMMIT = "changes are known to be committed, nobody in this process has been told"
    AFTER_BEGIN = "a computation is committed as begun, its function has not been called"
    AFTER_RECORD = "the end of an attempt is committed, nobody in this process has been told"
    BEFORE_NOTIFY = "who called has its answer; waits, the alarm clock and on_save know nothing"
    AFTER_NOTIFY = "everybody in this process has been told of a commit"
    BEFORE_FUNCTION = "a node's function is about to be called"
    AFTER_FUNCTION = "a node's function has returned or raised, nothing of it is written"
    BEFORE_WAKE = "an execution is due, and about to be looked at"
    LISTENER = "a notification of another process has been heard, nothing came of it yet"
    HEARTBEAT = "this worker is about to renew its lease and to look at the others"
    BEFORE_RELEASE = "other workers were found dead, their work has not been released"
    AFTER_RELEASE = "the work of other workers that were found dead is available again"


class Points:
    """What the parts of an engine tell where they are; this one does not listen."""

    __slots__ = ()

    listen: ClassVar[bool] = False  # whether it is worth finding out which nodes to name

    def reach(self, point: Point, nodes: Collection[str] = ()) -> None:
        """A point is reached, on behalf of these nodes if of any.

        Raises asyncio.CancelledError to end the task that reached it. HEARTBEAT is reached in a
        thread of its own.
        """
