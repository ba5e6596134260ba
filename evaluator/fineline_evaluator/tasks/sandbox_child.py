"""The child process of `sandbox`: takes limits upon itself, then runs the program that comes on stdin.

Arguments: the file descriptor to say the word on, and the seconds of processor time. The first line of stdin is the
word, the rest is the program. Imports nothing of Fineline: it is started without site-packages.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys

_MEMORY_BYTES = 2 << 30
_FILE_BYTES = 16 << 20
_PROCESSES = 64
_NEW_USER = 0x10000000
_NEW_NETWORK = 0x40000000


def main() -> None:
    channel, seconds = int(sys.argv[1]), int(sys.argv[2])
    word, _, program = sys.stdin.buffer.read().partition(b"\n")
    _leave_the_network()
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_AS, _MEMORY_BYTES)
    _limit(resource.RLIMIT_FSIZE, _FILE_BYTES)
    _limit(resource.RLIMIT_NPROC, _PROCESSES)
    _limit(resource.RLIMIT_CORE, 0)
    # The descriptor is kept from processes that the program starts, and from a program that closes all it finds.
    os.set_inheritable(channel, False)
    exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102 - what this process is for
    os.write(channel, word)


def _leave_the_network() -> None:
    """As root alone, else with a user namespace around it, else not at all."""
    with contextlib.suppress(OSError, AttributeError):
        unshare = ctypes.CDLL(None, use_errno=True).unshare
        if unshare(_NEW_NETWORK) != 0:
            unshare(_NEW_USER | _NEW_NETWORK)


def _limit(what: int, most: int) -> None:
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most, most) if hard == resource.RLIM_INFINITY else (min(most, hard), min(most, hard)))


if __name__ == "__main__":
    main()
