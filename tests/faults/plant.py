"""Plant each fault of this folder into a copy of the tree, and show which test or check catches it: `tox -e faults`.

A patch begins with what it does and with its catcher, which must pass without the fault, and fail with it by finding
it: a test that fails, or a verb that exits with 1. Prints the table of docs/ci.md; exits with 1 if a fault got through.

    python tests/faults/plant.py [FAULT]...
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
CLONE = HERE.parents[1]
AS_SOMEBODY = ("-c", "user.name=faults", "-c", "user.email=faults@example.org")


@dataclass(frozen=True)
class Fault:
    path: Path
    what: str
    catcher: str

    @classmethod
    def read(cls, path: Path) -> "Fault":
        what, catcher, *_ = path.read_text(encoding="utf-8").splitlines()
        return cls(path, what, catcher.removeprefix("Caught by: "))


def faults() -> list[Fault]:
    return [Fault.read(path) for path in sorted(HERE.glob("*.patch"))]


def row(fault: Fault) -> str:
    return f"| {fault.path.stem} | {fault.what} | `{fault.catcher}` |"


HEAD = "| fault | what it does | caught by |\n|---|---|---|"


def git(tree: Path, *words: str) -> str:
    command = ["git", "-C", str(tree), *AS_SOMEBODY, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=apart()).stdout


def apart() -> dict[str, str]:
    """Without what git tells its hooks, which would send all this to another repository, and without our settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SRREPRO_", "PYTHON"))}


def copy_of_the_tree(to: Path) -> None:
    """Everything that git would take, committed twice, so that HEAD~1 is the same as HEAD."""
    for name in git(CLONE, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (CLONE / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes((CLONE / name).read_bytes())
    git(to, "init", "-q")
    git(to, "add", "-A")
    git(to, "commit", "-qm", "untouched")
    git(to, "commit", "-qm", "the same", "--allow-empty")


@cache
def passes(tree: Path, catcher: str) -> bool:
    return run(tree, catcher)[0] == 0


def run(tree: Path, catcher: str) -> tuple[int, bool]:
    """Exit code, and whether a test failed or a verb gave its message."""
    verb, *words = shlex.split(catcher)
    start = {
        "pytest": ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"],
        "srrepro": ["-c", "from srrepro.cli import main; main()"],
    }[verb]
    done = subprocess.run([sys.executable, *start, *words], cwd=tree, env=apart(), capture_output=True, text=True)
    found = re.search(r"^FAILED " if verb == "pytest" else r"^Error: ", done.stdout + done.stderr, re.MULTILINE)
    return done.returncode, bool(found)


def main(names: Sequence[str]) -> int:
    chosen = [fault for fault in faults() if not names or fault.path.stem in names]
    if len(chosen) < max(1, len(names)):
        click.echo(f"there are the faults {', '.join(fault.path.stem for fault in faults())}; asked for: {names}")
        return 2
    through = []
    click.echo(HEAD)
    with tempfile.TemporaryDirectory(prefix="srrepro-faults-") as folder:
        tree = Path(folder).resolve()
        copy_of_the_tree(tree)
        for fault in chosen:
            if not passes(tree, fault.catcher):
                through.append(f"{fault.path.stem}: `{fault.catcher}` fails without it, too")
                continue
            git(tree, "apply", "--index", str(fault.path))
            git(tree, "commit", "-qm", fault.what)
            code, found = run(tree, fault.catcher)
            git(tree, "reset", "-q", "--hard", "HEAD~1")
            if code == 1 and found:
                click.echo(row(fault))
            else:
                through.append(f"{fault.path.stem}: `{fault.catcher}` ended with {code}")
    for problem in through:
        click.echo(f"NOT CAUGHT, {problem}")
    click.echo(f"{len(chosen) - len(through)} of {len(chosen)} faults caught")
    return bool(through)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
