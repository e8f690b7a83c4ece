"""Locks that the kernel gives back when their holder dies, however it dies."""

import fcntl
import os
from pathlib import Path


class FileLock:
    """A lock on a file, held until `release`, the end of the process, or of this object.

    It belongs to the open file, not to the process: two in one process are two holders.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def try_acquire(cls, file: Path, *, shared: bool = False) -> "FileLock | None":
        """The lock, or None when somebody holds it in a way that excludes this one."""
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Give the lock back; nothing happens the second time."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self.release()
