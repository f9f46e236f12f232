"""A process that has loaded everything, and forks for every command: so that a kill costs its work and not the start.

As a program it reads one JSON request a line. `disk.c` lies under it and its children, so that one of these dies, or
is told of a full disk, at the n-th change below a folder.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NOTHING, DIE_BEFORE, DIE_HALFWAY, DIE_AFTER, FAIL = range(5)
LONGEST_S = 100
"""A child that hangs is ended, and told of, before the test is."""
CHANGES = "wsrcoum"
"""Write, sync, rename, close, open to write, unlink, make a folder."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: exit code, or minus the signal; what it said; how many changes it made, and the n-th."""

    code: int
    said: str
    changes: int
    nth: str


class Forks:
    """Runs functions of the modules in this folder, each in a child of its own."""

    def __init__(self, library: Path) -> None:
        env = os.environ | {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, str(library)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def run(
        self,
        task: str,
        *args: Any,
        below: Path,
        at: int = 0,
        happens: int = NOTHING,
        kinds: str = CHANGES,
        errno: int = 0,
        within_s: float | None = None,
    ) -> Ended:
        """`module:function` in a child; something happens at the `at`-th change of those kinds, or death in time."""
        request = {"task": task, "args": args, "arm": [str(below), kinds, at, happens, errno], "within_s": within_s}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Ended(**json.loads(self._server.stdout.readline()))

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=10)
        assert self._server.stdout is not None
        self._server.stdout.close()


@contextlib.contextmanager
def forks(folder: Path) -> Iterator[Forks]:
    """The process, with the library compiled into a folder."""
    library = folder / "disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "disk.c"), "-ldl"], check=True)
    server = Forks(library)
    try:
        yield server
    finally:
        server.close()


def _serve(library: Path) -> None:
    sys.path.insert(0, str(HERE))
    disk = ctypes.CDLL(str(library))
    disk.disk_count.restype, disk.disk_last.restype = ctypes.c_long, ctypes.c_char_p
    importlib.import_module("tasks").warm()
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
            child = os.fork()
            if child == 0:
                _work(disk, request, said.fileno(), told.fileno())
            code = _waited(child, request["within_s"])
            for stream in (said, told):
                stream.seek(0)
            changes, _, nth = told.read().decode().partition(" ")
            ended = Ended(code, said.read().decode(), int(changes or -1), nth)
        print(json.dumps(vars(ended)), flush=True)  # noqa: T201 (the answer)


def _work(disk: ctypes.CDLL, request: dict[str, Any], said: int, told: int) -> None:
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.stdout = sys.stderr = open(said, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (until the end)
    signal.alarm(LONGEST_S)
    module, _, name = request["task"].partition(":")
    code = 99
    try:
        folder, kinds, at, happens, errno = request["arm"]
        disk.disk_arm(folder.encode(), kinds.encode(), ctypes.c_long(at), happens, errno)
        getattr(importlib.import_module(module), name)(*request["args"])
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        disk.disk_disarm()
        sys.stdout.flush()
        os.write(told, f"{disk.disk_count()} ".encode() + disk.disk_last())
        os._exit(code)


def _waited(child: int, within_s: float | None) -> int:
    if within_s is not None:
        time.sleep(within_s)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
