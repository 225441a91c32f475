"""
The few calls of Linux that Python 3.11 lacks, and what C{/proc} says of processes.

Nothing else in the package touches ctypes.  Everything raises C{OSError} with
the kernel's own number unless it says otherwise.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import socket as net
import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import cache

import attrs

_SYS_PIDFD_GETFD = 438
_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_DETACH_REUSEPORT_BPF = 68
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_PR_SET_NO_NEW_PRIVS = 38
_SO_ATTACH_FILTER = 26
_PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2
_PIDFD_INFO_EXIT = 1 << 3
_PIDFD_INFO_SIZE = 64
# _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info) of linux/pidfd.h
_PIDFD_GET_INFO = (3 << 30) | (_PIDFD_INFO_SIZE << 16) | (0xFF << 8) | 11
_FURTHEST = 9e9
"""Seconds that the kernel's 64-bit count of nanoseconds can still hold."""


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# Timers


def timerCreate() -> int:
    """
    A timer on the monotonic clock that becomes readable when it expires;
    non-blocking and close-on-exec.

    @see: timerfd_create(2)
    """
    return _checked(_libc().timerfd_create(_CLOCK_MONOTONIC, os.O_CLOEXEC | os.O_NONBLOCK))


def timerSet(fd: int, when: float) -> None:
    """
    Arm a timer once.

    @param when: seconds on the clock of C{time.monotonic}; what has passed
        expires at once, 0 disarms it.
    """
    seconds, fraction = divmod(min(when, _FURTHEST), 1)
    value = struct.pack("llll", 0, 0, int(seconds), int(fraction * 1e9))
    _checked(_libc().timerfd_settime(fd, _TFD_TIMER_ABSTIME, value, None))


def timerLeft(fd: int) -> float:
    """Seconds until a timer expires; 0 if it is disarmed."""
    value = ctypes.create_string_buffer(struct.calcsize("llll"))
    _checked(_libc().timerfd_gettime(fd, value))
    _, _, seconds, nanoseconds = struct.unpack("llll", value.raw)
    return float(seconds + nanoseconds / 1e9)


# Sockets


def steer(socket: net.socket, program: bytes) -> None:
    """
    Have a program choose among the sockets that share a port with this one.

    @param program: instructions of classic BPF, whose answer is the place of a
        socket in its group; without any the kernel chooses again.
    @see: SO_ATTACH_REUSEPORT_CBPF in socket(7); SO_DETACH_REUSEPORT_BPF, Linux 5.3
    """
    if not program:
        with suppress(FileNotFoundError):  # there is none
            socket.setsockopt(net.SOL_SOCKET, _SO_DETACH_REUSEPORT_BPF, 0)
        return
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog of linux/filter.h: how many, of eight bytes each, and where they are
    value = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    socket.setsockopt(net.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, value)


def filterSocket(fd: int, program: Sequence[tuple[int, int, int, int]]) -> None:
    """
    Let only those messages reach a socket that a program of classic BPF admits, from now on.

    @see: SO_ATTACH_FILTER in socket(7)
    """
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    instructions = ctypes.create_string_buffer(code, len(code))
    value = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(instructions)))
    _checked(_libc().setsockopt(fd, net.SOL_SOCKET, _SO_ATTACH_FILTER, value, len(value.raw) - 1))


# Ourselves


def setSubreaper(on: bool = True) -> None:
    """Become, or stop being, the parent of descendants whose parent has ended; prctl(2)."""
    _checked(_libc().prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(on), *_zeros(3)))


def isSubreaper() -> bool:
    """Whether orphaned descendants become our children: as subreaper or as PID 1."""
    answer = ctypes.c_int()
    _checked(_libc().prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), *_zeros(3)))
    return bool(answer.value) or os.getpid() == 1


def setNoNewPrivileges() -> None:
    """Gain no privilege by any later execve, for ever; prctl(2)."""
    _checked(_libc().prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *_zeros(3)))


def _zeros(count: int) -> list[ctypes.c_ulong]:
    # Variadic: without a type ctypes would pass 32 bits and leave the others as they are.
    return [ctypes.c_ulong(0)] * count


# Processes by pidfd


def pidfdGetFD(pidfd: int, fd: int) -> int:
    """
    A copy of another process's descriptor, close-on-exec.

    @raise PermissionError: without ptrace rights on it.
    @see: pidfd_getfd(2), Linux 5.6
    """
    return _checked(_libc().syscall(_SYS_PIDFD_GETFD, pidfd, fd, 0))


def signalGroup(pid: int, pidfd: int, signum: int) -> None:
    """
    Signal the process group that a process leads, alive or not yet waited for.

    @see: PIDFD_SIGNAL_PROCESS_GROUP in pidfd_send_signal(2), Linux 6.9;
        before it the group is signalled by number.
    """
    try:
        signal.pidfd_send_signal(pidfd, signum, None, _PIDFD_SIGNAL_PROCESS_GROUP)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        os.killpg(pid, signum)


def exitStatus(pid: int, pidfd: int) -> int | None:
    """
    How a process ended that is not our child, as waitpid(2) would say.

    @return: None if the kernel does not tell.
    @see: C{exit_code} in proc_pid_stat(5) until its parent has waited for it,
        afterwards PIDFD_GET_INFO, Linux 6.15.
    """
    with suppress(OSError, IndexError):
        state, *fields = stat(pid)
        if state == "Z":
            return int(fields[-1])
    info = bytearray(struct.pack("=Q", _PIDFD_INFO_EXIT).ljust(_PIDFD_INFO_SIZE, b"\0"))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    (mask,) = struct.unpack_from("=Q", info)
    (status,) = struct.unpack_from("=i", info, 60)
    return status if mask & _PIDFD_INFO_EXIT else None


# Processes by number


def stat(pid: int) -> list[str]:
    """
    What is known of a process: the fields of C{/proc/PID/stat} from the third
    one, its state.

    @raise OSError: if there is no such process.
    """
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        return file.read(4096).rpartition(b")")[2].decode("ascii").split()


def parent(pid: int) -> int:
    """The pid of its parent."""
    return int(stat(pid)[1])


def session(pid: int) -> int:
    """Its session, 0 if that is not of our namespace; zombies have one too."""
    return int(stat(pid)[3])


def startTime(pid: int) -> int:
    """When it was started, in clock ticks since boot: tells it from a later process of the same number."""
    return int(stat(pid)[19])


def children(pid: int) -> list[int]:
    """
    The direct children, ended ones included; none if the process is gone.

    @see: C{/proc/PID/task/TID/children} in proc(5)
    """
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def variable(pid: int, name: bytes) -> bytes:
    """
    A variable of the environment that a process was executed with; empty if
    there is none, or if we may not see it.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            entries = (b"\0" + file.readall() + b"\0").partition(b"\0" + name + b"=")
    except OSError:
        return b""
    return entries[2].partition(b"\0")[0]


def commandLine(pid: int) -> str:
    """The words of a process, as one line for people; empty for a zombie."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).rstrip(b"\0").split(b"\0")
    except OSError:
        return ""
    return " ".join(word.decode("utf-8", "backslashreplace") for word in words)


def fdInode(fd: int) -> int:
    """The inode behind one of our descriptors."""
    return os.fstat(fd).st_ino


# The host


@attrs.frozen
class Features:
    """
    What this host gives.

    @ivar pidfd: empty if processes can be watched, else why not.
    @ivar cgroup: the control group that is delegated to us, version 2; empty if there is none.
    """

    pidfd: str
    cgroup: str

    def __str__(self) -> str:
        watched = f"no ({self.pidfd})" if self.pidfd else "yes"
        return f"pidfd {watched}, cgroup {'yes' if self.cgroup else 'no (sessions instead)'}"


def features(cgroup: str = "") -> Features:
    """
    Look at this host.

    @param cgroup: see L{Features}.
    """
    return Features(_missingPidfd(), cgroup)


def _missingPidfd() -> str:
    try:
        fd = os.pidfd_open(os.getpid())
    except AttributeError:
        return "Python was built without it, or this is not Linux"
    except OSError as error:
        what = "Linux 5.4 or later is needed" if error.errno == errno.ENOSYS else "a sandbox may forbid it"
        return f"pidfd_open: {error.strerror}; {what}"
    with suppress(ChildProcessError):
        try:
            os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return "waitid: no P_PIDFD; Linux 5.4 or later is needed"
        finally:
            os.close(fd)
    return ""
