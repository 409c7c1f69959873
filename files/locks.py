"""A folder that one process has to itself, or that several share; the system lets go however a process ends."""

from __future__ import annotations

import os
from pathlib import Path


class InUse(OSError):
    """Another process has locked a folder, which is its argument."""


def lock(folder: Path, shared: bool = False) -> int:
    """A handle that keeps a folder to this process, or to all that share it, until it is closed or the process ends.

    On Windows none can share. Raises InUse, or OSError where the folder cannot be opened.
    """
    if os.name == "nt":  # where a folder has no lock, but a file can go with its handle
        try:
            return os.open(folder / ".lock", os.O_CREAT | os.O_EXCL | os.O_TEMPORARY)
        except FileExistsError as error:
            raise InUse(folder) from error
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise InUse(folder) from error
    except OSError:  # a disk that keeps no locks
        pass
    return handle
