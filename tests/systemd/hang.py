#!/usr/bin/env python3
"""Stops one thread of a process and leaves all others alone, until that process ends: a thread that hangs, as the
watchdog must see it. It is stopped from outside, by ptrace, so that no program has to carry a switch for it.

  hang.py LEADER PID NAME    LEADER: a process in PID's world (its number here); PID: the process (its number there);
                             NAME: of the thread. Prints "hangs" when it does.
"""

import ctypes
import os
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000  # threads too


def number_here(leader, pid):
    """The process that has this number in the leader's world."""
    world = os.readlink(f"/proc/{leader}/ns/pid")
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{entry}/ns/pid") == world:
                with open(f"/proc/{entry}/status") as status:
                    numbers = next(line for line in status if line.startswith("NSpid:")).split()
                if numbers[-1] == pid:
                    return int(entry)
        except OSError:
            pass
    sys.exit(f"hang.py: no process {pid} beside {leader}")


def thread_named(process, name):
    for tid in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{tid}/comm") as comm:
            if comm.read().strip() == name:
                return int(tid)
    sys.exit(f"hang.py: process {process} has no thread {name}")


def main():
    leader, pid, name = sys.argv[1:]
    thread = thread_named(number_here(leader, pid), name)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, thread, None, None) != 0:
            sys.exit(f"hang.py: ptrace: {os.strerror(ctypes.get_errno())}")
    os.waitpid(thread, WALL)
    print("hangs", flush=True)
    # It stays as it is until it is killed; then its end has to be waited for, else the process would not end.
    while True:
        _, status = os.waitpid(thread, WALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return


main()
