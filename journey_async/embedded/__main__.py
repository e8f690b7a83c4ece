"""The supervisor: owns the server of one path for as long as anybody uses it.

Run as `python DIRECTORY_OF_THIS_FILE PLAN`, the plan in JSON. It detaches, starts the server, and
then waits for the exclusive lock on the path's `users.lock`. Every user holds that lock shared, and
the kernel takes it back from whoever dies; so who gets it exclusively knows that nobody is left,
and stops the server. Until then a server that dies is started again, however often that fails.

The command itself ends when the server is ready, and says so, or cannot be started: why is then on
stderr, and the exit code is 1.
"""

import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from subprocess import Popen
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journey_async.embedded.server import (
        DATA,
        LOG,
        SUPERVISOR_LOCK,
        USERS_LOCK,
        Account,
        Server,
        ServerError,
    )
else:
    # This directory is sys.path[0]: the package and its dependencies need not be imported.
    from server import DATA, LOG, SUPERVISOR_LOCK, USERS_LOCK, Account, Server, ServerError

READY = "ready"

_AGAIN_AFTER = 2.0  # seconds after a server could not be started again
_LOG_LIMIT = 1_000_000  # bytes; a longer log of earlier runs is put aside


def main(plan: str) -> int:
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        _detach()
        _supervise(json.loads(plan), writer)
        return 0
    os.close(writer)
    with os.fdopen(reader, errors="replace") as answer:
        message = answer.read()
    if message == READY:
        print(READY)  # a caller that ignores SIGCHLD does not see the exit code
        return 0
    print(message or "the supervisor of PostgreSQL died", file=sys.stderr)
    return 1


def _detach() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whatever the caller did with signals
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.setsid()
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)


def _supervise(plan: dict[str, object], writer: int) -> None:
    path = Path(str(plan["path"]))
    try:
        owner = os.open(path / SUPERVISOR_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _report(writer, READY)  # somebody else's, soon: the user looks for itself
    except OSError as error:
        return _report(writer, str(error))
    server = _server(plan, path)
    try:
        _keep_log(server.log)
        _run(server, path, owner, writer)
    except (ServerError, OSError) as error:
        _report(writer, str(error))
    if server.throwaway:
        shutil.rmtree(path, ignore_errors=True)


def _server(plan: dict[str, object], path: Path) -> Server:
    account = plan["account"]
    settings = plan["settings"]
    assert isinstance(settings, dict)
    return Server(
        bindir=Path(str(plan["bindir"])),
        data=path / DATA,
        log=path / LOG,
        account=Account(*account) if isinstance(account, list) else None,
        settings=settings,
        throwaway=bool(plan["throwaway"]),
    )


def _keep_log(log: Path) -> None:
    """Write to `log` from now on; what this process itself prints goes there as well."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as file:
        if os.geteuid() == 0:  # the path's owner must be able to go on without root
            owner = log.parent.stat()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        os.dup2(file.fileno(), sys.stderr.fileno())


def _run(server: Server, path: Path, owner: int, writer: int) -> None:
    """Start the server, say so, and keep it running until nobody uses it or SIGTERM comes."""
    events: SimpleQueue[str] = SimpleQueue()
    server.create()
    signal.signal(signal.SIGTERM, lambda *_: events.put("terminated"))
    signal.signal(signal.SIGCHLD, lambda *_: events.put("child"))
    process = server.start()
    _report(writer, READY)
    users = os.open(path / USERS_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    threading.Thread(target=_wait_until_alone, args=(users, events), daemon=True).start()
    while events.get() == "child":
        if process.poll() is not None:
            again = _start_again(server, path, owner, events)
            if again is None:
                return
            process = again
    server.stop(process)


def _start_again(
    server: Server, path: Path, owner: int, events: SimpleQueue[str]
) -> Popen[bytes] | None:
    """Start a server that has died, again and again until it runs; None if it is not to.

    Not when the path was removed: what is there now, if anything, is another supervisor's.
    """
    while os.path.samestat(os.fstat(owner), os.stat(path / SUPERVISOR_LOCK)):
        try:
            return server.start()
        except ServerError:  # why is in the log: a full disk, processes that take long to end
            if not _goes_on(events):
                break
    return None


def _goes_on(events: SimpleQueue[str]) -> bool:
    """Whether the server is still wanted after a while."""
    until = time.monotonic() + _AGAIN_AFTER
    while (left := until - time.monotonic()) > 0:
        with suppress(Empty):
            if events.get(timeout=left) != "child":
                return False
    return True


def _wait_until_alone(users: int, events: SimpleQueue[str]) -> None:
    fcntl.flock(users, fcntl.LOCK_EX)
    events.put("alone")


def _report(writer: int, message: str) -> None:
    with suppress(OSError):  # reported before, or nobody waits for it any more
        os.write(writer, message.encode(errors="replace"))
        os.close(writer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
