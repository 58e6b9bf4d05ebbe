"""Builds the namespaces in which answers run, without bubblewrap; a program that imports nothing of stepsift.

argv[1] is JSON: `binds` (paths that the program may read), `work_bytes` (size of its folder /tmp), `root` (whether
real root starts this) and `argv` (the program). This process enters a user, mount, pid, network, IPC and UTS namespace
of its own; its child becomes process 1 there, moves to an empty root in which only `binds` are mounted, read-only, and
becomes the program, as user 65534 and without capabilities. What fails is said on stderr, exit status SETUP_FAILED.

Real root must not stay root: no limit on processes binds it. A helper that stays outside maps user 65534 beside root,
so that root can still mount an interpreter from a folder that is closed to others, and gives itself up afterwards.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
from pathlib import Path

SETUP_FAILED = 97
NOBODY = 65534
NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000
"""user, mount, pid, net, ipc, uts"""
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 2, 4, 4096, 16384, 1 << 18, 2
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, ATTR_RDONLY_NOSUID = 442, -100, 0x8000, 1 | 2
"""The number of this system call is the same on all architectures."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")

libc = ctypes.CDLL(None, use_errno=True)


def call(what: str, result: int) -> None:
    """Raise OSError naming `what` where a C function returned an error."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2)."""
    fs = kind.encode() if kind else None
    call(f"mount {target}", libc.mount(source.encode(), target.encode(), fs, ctypes.c_ulong(flags), options.encode()))


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends."""
    call("prctl", libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0))


def write_maps(pid: str, users: str, groups: str) -> None:
    """Say who is who in the user namespace of a process."""
    Path(f"/proc/{pid}/uid_map").write_text(users)
    Path(f"/proc/{pid}/gid_map").write_text(groups)


def enter(root: bool) -> None:
    """Enter new namespaces; nothing in them can make further ones."""
    user, group = os.geteuid(), os.getegid()
    if root:
        ready, go = os.pipe()
        pid = os.getpid()
        helper = os.fork()
        if helper == 0:
            os.read(ready, 1)
            both = f"0 0 1\n{NOBODY} {NOBODY} 1\n"
            write_maps(str(pid), both, both)
            os._exit(0)
        call("unshare", libc.unshare(NEW_NAMESPACES))
        os.write(go, b".")
        if os.waitpid(helper, 0)[1] != 0:
            raise OSError("the user map cannot be written")
    else:
        call("unshare", libc.unshare(NEW_NAMESPACES))
        Path("/proc/self/setgroups").write_text("deny")
        write_maps("self", f"{NOBODY} {user} 1\n", f"{NOBODY} {group} 1\n")
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


def build(binds: list[str], work_bytes: int) -> None:
    """Move to an empty root with only `binds`, some devices and a work folder in it."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=1024,mode=755")
    Path("/tmp/.old").mkdir()
    call("pivot_root", libc.pivot_root(b"/tmp", b"/tmp/.old"))
    os.chdir("/")
    for path in binds:
        link = Path("/.old" + path)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            # /lib on a system where it is /usr/lib.
            Path(path).symlink_to(link.readlink())
        elif link.is_dir():
            Path(path).mkdir(exist_ok=True)
            mount(str(link), path, None, MS_BIND | MS_REC)
        else:
            Path(path).touch()
            mount(str(link), path, None, MS_BIND)
    Path("/tmp").mkdir(exist_ok=True)
    call("umount", libc.umount2(b"/.old", MNT_DETACH))
    Path("/.old").rmdir()
    attributes = (ctypes.c_uint64 * 4)(ATTR_RDONLY_NOSUID, 0, 0, 0)
    arguments = (AT_FDCWD, b"/", AT_RECURSIVE, ctypes.byref(attributes), ctypes.c_size_t(32))
    call("mount_setattr", libc.syscall(SYS_MOUNT_SETATTR, *arguments))
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"size={work_bytes},nr_inodes=4096,mode=1777")
    os.chdir("/tmp")


def main() -> None:
    plan = json.loads(sys.argv[1])
    try:
        die_with_parent()
        enter(plan["root"])
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            os._exit(abs(os.waitstatus_to_exitcode(status)))
        # Segments of shared memory belong to no process, so no limit of one counts them. Older kernels forbid this.
        with contextlib.suppress(PermissionError):
            Path("/proc/sys/kernel/shmall").write_text("0")
        build([*plan["binds"], *DEVICES], plan["work_bytes"])
        if plan["root"]:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        # Changing the user undoes it, so it is said last.
        die_with_parent()
        call("prctl", libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0))
        os.execv(plan["argv"][0], plan["argv"])
    except OSError as e:
        print(e, file=sys.stderr, flush=True)
        os._exit(SETUP_FAILED)


if __name__ == "__main__":
    main()
