"""What a Ray cluster adds to a sweep: time over runs without one, and the memory of the command while runs wait.

    ray start --head --num-cpus 2
    PYTHONPATH=. python bench/cluster.py results/choices/cluster.csv

Every run has one thread. The machine is to be quiet, and to have two cores at least. Rows are added to the table.

- `alone`: the sweep in this process, one run after the other. Half of it is what two at a time would take at best.
- `two processes`: the same in two processes, without a cluster. What it takes longer is the memory that cores share.
- `cluster`: the same on the cluster, two at a time.
- `queue`: many runs of a few steps; megabytes that the command holds when so many have ended.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, sleep

import click
import pandas as pd

from srrepro.reporting.provenance import commit, provenance
from srrepro.reporting.tabulated import as_csv
from srrepro.whole import written_whole

RUNS, QUEUED, EVERY = 12, 1000, 100
TIMED = {
    "alone": [(0, RUNS - 1)],
    "two processes": [(0, RUNS // 2 - 1), (RUNS // 2, RUNS - 1)],
    "cluster": [(0, RUNS - 1)],
}
"""Who carries out which seeds, at the same time."""
QUEUE = "queue"
SHORT = 1e-4
"""Of the demo recipe's budget: some steps."""


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), default=Path("datasets"), show_default=True)
@click.option("--part", "parts", type=click.Choice([*TIMED, QUEUE]), multiple=True, default=[*TIMED, QUEUE])
def main(table: Path, data: Path, parts: tuple[str, ...]) -> None:
    # Now: the clone may change meanwhile.
    under = {"commit": commit(), "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": provenance("cpu")["machine"]}
    rows = [*times(data, [who for who in TIMED if who in parts]), *(queue(data) if QUEUE in parts else ())]
    new = pd.DataFrame([row | under for row in rows])
    before = [pd.read_csv(table)] if table.exists() else []
    table.parent.mkdir(parents=True, exist_ok=True)
    written_whole(table, as_csv(pd.concat([*before, new])))


def times(data: Path, parts: Sequence[str]) -> Iterator[dict[str, object]]:
    """Seconds of a sweep, by who carries it out."""
    for who in parts:
        with tempfile.TemporaryDirectory() as results:
            begun = perf_counter()
            processes = [
                sweep(data, Path(results) / str(first), first, last, on_a_cluster=who == "cluster")
                for first, last in TIMED[who]
            ]
            if any(process.wait() for process in processes):
                msg = f"{who}: a sweep failed"
                raise SystemExit(msg)
            row = {"what": who, "runs": RUNS, "value": perf_counter() - begun, "unit": "s"}
        click.echo(row)
        yield row


def queue(data: Path) -> Iterator[dict[str, object]]:
    """Megabytes of the driver, whenever a hundred more runs have ended."""
    with tempfile.TemporaryDirectory() as place:
        results, due, begun = Path(place), EVERY, perf_counter()
        process = sweep(data, results, 0, QUEUED - 1, on_a_cluster=True, budget=SHORT)
        while process.poll() is None:
            ended = len([*results.glob("runs/[!.]*")])
            if ended >= due:
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
                held = re.search(r"VmRSS:\s+(\d+) kB", status)
                row = {"what": QUEUE, "runs": due, "value": int(held[1]) / 1024 if held else None, "unit": "MiB"}
                click.echo(row)
                yield row
                due += EVERY
            sleep(0.2)
        if process.returncode:
            msg = "queue: the sweep failed"
            raise SystemExit(msg)
        yield {"what": QUEUE, "runs": QUEUED, "value": perf_counter() - begun, "unit": "s"}


def sweep(
    data: Path, results: Path, first: int, last: int, *, on_a_cluster: bool, budget: float = 1.0
) -> "subprocess.Popen[bytes]":
    words = ["--recipes", "srcnn-915-demo", "--scales", "3", "--seeds", f"{first}-{last}", "--budget", str(budget)]
    where = ["--data", str(data), "--results", str(results), *(["--on", "ray"] if on_a_cluster else [])]
    command = [sys.executable, "-m", "srrepro", "run-all", *words, *where]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, **quiet)


if __name__ == "__main__":
    main()
