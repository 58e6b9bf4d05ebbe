"""The program with which a sandbox is probed: it tries what an answer must not do and prints what succeeded."""

ATTEMPTS = r"""
import json, os, socket, sys

given = json.load(sys.stdin)
done = []


def attempt(name, action):
    try:
        action()
    except OSError:
        return
    done.append(name)


def connect():
    socket.create_connection(("127.0.0.1", given["port"]), timeout=2).close()


def write():
    with open(os.path.join(given["folder"], "written"), "w") as file:
        file.write("x")


def read():
    with open(os.path.join(given["folder"], "canary")) as file:
        file.read()


def change():
    with open(sys.executable, "ab"):
        pass


def fork():
    ready, hold = os.pipe()
    for _ in range(given["processes"]):
        if os.fork() == 0:
            os.close(hold)
            os.read(ready, 1)
            os._exit(0)


def files():
    if all(0 < os.statvfs(path).f_files <= given["inodes"] for path in ("/tmp", "/dev/shm")):
        raise OSError


def hide():
    os.close(os.memfd_create("probe"))


def device():
    os.close(os.open("/dev/probe", os.O_CREAT | os.O_WRONLY))


attempt("a connection", connect)
attempt("more files than the limit", files)
attempt("memory that nothing counts", hide)
attempt("a file in /dev", device)
attempt("a write outside", write)
attempt("a read outside", read)
attempt("a change of the interpreter", change)
attempt("more processes than the limit", fork)
if os.geteuid() == 0:
    done.append("being root")
print(", ".join(done) or "none")
"""
"""Input: JSON with `folder` (one that everyone may write to, with a file `canary`), `port` (on which 127.0.0.1
listens), `processes` and `inodes` (their limits). Output: what succeeded, separated by commas, or "none"."""
