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


def row(fault: Fault, caught_by: str) -> str:
    return f"| {fault.path.stem} | {fault.what} | {caught_by} |"


HEAD = "| fault | what it does | caught by |\n|---|---|---|"


def git(tree: Path, *words: str) -> str:
    command = ["git", "-C", str(tree), *AS_SOMEBODY, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


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
    return caught(tree, catcher)[0] == 0


def caught(tree: Path, catcher: str) -> tuple[int, str]:
    """Exit code, and the test that failed first or the one message."""
    verb, *words = shlex.split(catcher)
    run = {
        "pytest": ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"],
        "srrepro": ["-c", "from srrepro.cli import main; main()"],
    }[verb]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SRREPRO_", "PYTHON"))}
    done = subprocess.run([sys.executable, *run, *words], cwd=tree, env=kept, capture_output=True, text=True)
    message = r"^FAILED (.+?)(?: - .*)?$" if verb == "pytest" else r"^Error: (.*)"
    said = re.search(message, done.stdout + done.stderr, re.MULTILINE)
    return done.returncode, said[1] if said else ""


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
            code, by = caught(tree, fault.catcher)
            git(tree, "reset", "-q", "--hard", "HEAD~1")
            click.echo(row(fault, f"`{by if fault.catcher.startswith('pytest') else fault.catcher}`"))
            if code != 1 or not by:
                through.append(f"{fault.path.stem}: `{fault.catcher}` ended with {code}")
    for problem in through:
        click.echo(f"NOT CAUGHT, {problem}")
    click.echo(f"{len(chosen) - len(through)} of {len(chosen)} faults caught")
    return bool(through)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
