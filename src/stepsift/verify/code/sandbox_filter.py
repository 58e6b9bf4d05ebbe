"""Which system calls the programs in a sandbox may make, as the filter that bubblewrap takes (`--seccomp`).

All that is not named fails with ENOSYS, as on a kernel that does not have it, so libraries fall back to what is named.
What Python programs need is here: files, processes, threads, sockets, timers. Left out are calls that look into or
change other processes (ptrace, process_vm_readv, pidfd_getfd, prlimit of others), keyrings, namespaces and mounts, what
lives on without a process or counts for none (System V objects, message queues, memfd), and large, seldom used parts of
the kernel (io_uring, bpf, perf events, userfaultfd).

The program is put together here, since there is nothing to rely on for it: the binding of libseccomp is not on the
package index, what is there under a like name has had no release for years, and both need a library of the system at
the right version. It is a list of numbers and four kinds of instructions. Numbers are those of the kernel's tables
(arch/x86/entry/syscalls/syscall_64.tbl, scripts/syscall.tbl for aarch64), which never change.
"""

import errno
import struct

CALLS = """
accept 43 202, accept4 288 242, access 21 -, alarm 37 -, arch_prctl 158 -, bind 49 200, brk 12 214, chdir 80 49,
chmod 90 -, chown 92 -, clock_getres 229 114, clock_gettime 228 113, clock_nanosleep 230 115, close 3 57,
close_range 436 436, connect 42 203, copy_file_range 326 285, creat 85 -, dup 32 23, dup2 33 -, dup3 292 24,
epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21, epoll_pwait 281 22, epoll_pwait2 441 441,
epoll_wait 232 -, eventfd 284 -, eventfd2 290 19, execve 59 221, exit 60 93, exit_group 231 94, faccessat 269 48,
faccessat2 439 439, fadvise64 221 223, fallocate 285 47, fchdir 81 50, fchmod 91 52, fchmodat 268 53, fchown 93 55,
fchownat 260 54, fcntl 72 25, fdatasync 75 83, fgetxattr 193 10, flistxattr 196 13, flock 73 32, fork 57 -,
fstat 5 80, fstatfs 138 44, fsync 74 82, ftruncate 77 46, futex 202 98, get_robust_list 274 100, getcpu 309 168,
getcwd 79 17, getdents 78 -, getdents64 217 61, getegid 108 177, geteuid 107 175, getgid 104 176, getgroups 115 158,
getitimer 36 102, getpeername 52 205, getpgid 121 155, getpgrp 111 -, getpid 39 172, getppid 110 173,
getpriority 140 141, getrandom 318 278, getresgid 120 150, getresuid 118 148, getrlimit 97 163, getrusage 98 165,
getsid 124 156, getsockname 51 204, getsockopt 55 209, gettid 186 178, gettimeofday 96 169, getuid 102 174,
getxattr 191 8, inotify_add_watch 254 27, inotify_init 253 -, inotify_init1 294 26, inotify_rm_watch 255 28,
kill 62 129, lchown 94 -, lgetxattr 192 9, link 86 -, linkat 265 37, listen 50 201, listxattr 194 11,
llistxattr 195 12, lseek 8 62, lstat 6 -, madvise 28 233, membarrier 324 283, mincore 27 232, mkdir 83 -,
mkdirat 258 34, mknodat 259 33, mlock 149 228, mlock2 325 284, mmap 9 222, mprotect 10 226, mremap 25 216,
msync 26 227, munlock 150 229, munmap 11 215, nanosleep 35 101, newfstatat 262 79, open 2 -, openat 257 56,
openat2 437 437, pause 34 -, pidfd_open 434 434, pipe 22 -, pipe2 293 59, poll 7 -, ppoll 271 73, prctl 157 167,
pread64 17 67, preadv 295 69, preadv2 327 286, pselect6 270 72, pwrite64 18 68, pwritev 296 70, pwritev2 328 287,
read 0 63, readahead 187 213, readlink 89 -, readlinkat 267 78, readv 19 65, recvfrom 45 207, recvmmsg 299 243,
recvmsg 47 212, rename 82 -, renameat 264 38, renameat2 316 276, restart_syscall 219 128, rmdir 84 -, rseq 334 293,
rt_sigaction 13 134, rt_sigpending 127 136, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigsuspend 130 133,
rt_sigtimedwait 128 137, sched_get_priority_max 146 125, sched_get_priority_min 147 126, sched_getaffinity 204 123,
sched_getparam 143 121, sched_getscheduler 145 120, sched_rr_get_interval 148 127, sched_yield 24 124, select 23 -,
sendfile 40 71, sendmmsg 307 269, sendmsg 46 211, sendto 44 206, set_robust_list 273 99, set_tid_address 218 96,
setitimer 38 103, setpgid 109 154, setrlimit 160 164, setsid 112 157, setsockopt 54 208, shutdown 48 210,
sigaltstack 131 132, signalfd 282 -, signalfd4 289 74, socketpair 53 199, splice 275 76, stat 4 -, statfs 137 43,
statx 332 291, symlink 88 -, symlinkat 266 36, sync 162 81, sync_file_range 277 84, sysinfo 99 179, tee 276 77,
tgkill 234 131, time 201 -, timer_create 222 107, timer_delete 226 111, timer_getoverrun 225 109,
timer_gettime 224 108, timer_settime 223 110, timerfd_create 283 85, timerfd_gettime 287 87, timerfd_settime 286 86,
times 100 153, truncate 76 45, umask 95 166, uname 63 160, unlink 87 -, unlinkat 263 35, utime 132 -,
utimensat 280 88, utimes 235 -, vfork 58 -, wait4 61 260, waitid 247 95, write 1 64, writev 20 66
"""
"""Name, number on x86_64, number on aarch64; `-` where an architecture does not have it."""
MACHINES = {"x86_64": (0xC000003E, 1), "aarch64": (0xC00000B7, 2)}
"""Machine to (what the kernel calls it, column of CALLS)."""
_BY_ARGUMENT = {
    "clone": (56, 220),
    "prlimit64": (302, 261),
    "socket": (41, 198),
    "ioctl": (16, 29),
    "keyctl": (250, 219),
}
"""Calls of which the arguments decide."""
_NEW_NAMESPACES = 0x7E020000
"""The flags of clone(2) that make a namespace: mount, cgroup, UTS, IPC, user, pid, network."""
_FAMILIES = (1, 2, 10)
"""unix, IPv4, IPv6; others (vsock, netlink, packet, alg) lead past the network namespace or deep into the kernel."""
_TERMINAL = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX, which type into a terminal."""

_LOAD, _EQUAL, _GREATER, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NUMBER, _ARCHITECTURE = 0, 4


def _fail(code: int) -> bytes:
    return _step(_RETURN, 0x00050000 | code)


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """One instruction: what to do with `value`, and how many instructions to skip if a comparison holds or not."""
    return struct.pack("=HBBI", code, yes, no, value)


def _argument(position: int, high: bool = False) -> bytes:
    return _step(_LOAD, 16 + 8 * position + 4 * high)


def _decide(number: int, steps: list[bytes]) -> list[bytes]:
    """Steps for the call with a number, which end in a return; other calls skip them."""
    return [_step(_EQUAL, number, 0, len(steps)), *steps]


def _among(position: int, values: tuple[int, ...], if_so: bytes, else_: bytes) -> list[bytes]:
    """Return by whether an argument's low half is one of some values."""
    tests = [_step(_EQUAL, value, len(values) - place) for place, value in enumerate(values)]
    # A hit skips the other comparisons and the return of a miss.
    return [_argument(position), *tests, else_, if_so]


def ranges(numbers: list[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def allowed(machine: str) -> dict[str, int]:
    """The calls that are allowed whatever their arguments, with their numbers on a machine of MACHINES."""
    column = MACHINES[machine][1]
    rows = [row.split() for row in CALLS.replace("\n", " ").split(",")]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def filter_program(machine: str) -> bytes:
    """The filter for a machine of MACHINES, as bubblewrap reads it."""
    architecture, column = MACHINES[machine]
    allow = _step(_RETURN, _ALLOW)
    number = {name: numbers[column - 1] for name, numbers in _BY_ARGUMENT.items()}
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        *_decide(
            number["clone"],
            [_argument(0), _step(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _fail(errno.EPERM), allow],
        ),
        *_decide(number["prlimit64"], _among(0, (0,), allow, _fail(errno.EPERM))),
        *_decide(number["socket"], _among(0, _FAMILIES, allow, _fail(errno.EAFNOSUPPORT))),
        *_decide(number["ioctl"], _among(1, _TERMINAL, _fail(errno.EPERM), allow)),
        *_decide(number["keyctl"], _new_keyring(allow)),
    ]
    for first, last in ranges(list(allowed(machine).values())):
        steps += [_step(_AT_LEAST, first, 0, 2), _step(_GREATER, last, 1, 0), allow]
    return b"".join([*steps, _fail(errno.ENOSYS)])


def _new_keyring(allow: bytes) -> list[bytes]:
    """Only KEYCTL_JOIN_SESSION_KEYRING (1) without a name: a new, empty keyring, which the runner asks for."""
    return [
        _argument(0),
        _step(_EQUAL, 1, 0, 4),
        _argument(1),
        _step(_EQUAL, 0, 0, 2),
        _argument(1, high=True),
        _step(_EQUAL, 0, 1, 0),
        _fail(errno.EPERM),
        allow,
    ]
