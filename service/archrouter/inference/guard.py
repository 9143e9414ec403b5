"""Become another program that cannot outlive the process that started it (Linux).

Run as ``python -I -S guard.py PARENT_PID PROGRAM ARGUMENT…``. The death signal is set after the fork and before the
exec, in a process with a single thread: doing it in a forked child of a threaded gRPC process is not safe.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    """Ask the kernel to end this process with its parent, then exec the program."""
    parent_pid, program = int(sys.argv[1]), sys.argv[2]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent_pid:  # the parent died before the signal was set
        sys.exit("the parent process is gone")
    os.execv(program, sys.argv[2:])  # noqa: S606  # no shell: an argument list


if __name__ == "__main__":
    main()
