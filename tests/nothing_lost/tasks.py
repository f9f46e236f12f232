"""What is done in a child of `forks.py`."""

import gc
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np


def warm() -> None:
    """Load everything that is slow to load, before any child is made."""
    import torch

    torch.set_num_threads(1)
    from srrepro import models
    from srrepro.cli import VERBS, main
    from srrepro.data import registry
    from srrepro.pixels.resize import imresize
    from srrepro.reporting import tables
    from srrepro.training.run import Run

    for verb in VERBS:
        main.get_command(None, verb)  # type: ignore[arg-type]
    imresize(np.zeros((8, 8)), 0.5)
    network = Run(recipe=models.recipe("srcnn-915-demo"), scale=3).network()  # checked on PyTorch's device `meta`
    torch.optim.SGD(network.parameters()).step()
    models.recipes(), models.authors(), registry.registry()
    tables._networks = lambda: "the sizes of networks, which take seconds and are always the same"
    gc.freeze()  # children would copy what is collected


def srrepro(*words: str) -> None:
    from srrepro.cli import main

    main(list(words))


def pretending(rows: str) -> None:
    """Replace the registry by that of a file, as the fixture `pretend` made it."""
    from srrepro.data import registry

    known = tuple(registry.File(**{**row, "sets": tuple(row["sets"])}) for row in json.loads(Path(rows).read_text()))
    registry.registry = lambda: known  # type: ignore[assignment]
    registry.sets.cache_clear()


def pretending_srrepro(rows: str, *words: str) -> None:
    pretending(rows)
    srrepro(*words)


def write(what: str, folder: str, rows: str, mirror: str) -> None:
    """One thing that srrepro writes, as it is written; the message and exit code of an error are the command line's."""
    from srrepro.errors import InputError

    pretending(rows)
    try:
        WRITERS[what](Path(folder), Path(mirror))
    except InputError as error:
        print(f"Error: {error}")  # noqa: T201
        sys.exit(2)


def _stores(folder: Path, mirror: Path, *, training: bool) -> None:
    from srrepro.data.registry import DataFolder
    from srrepro.data.stores import EvaluationShape, TrainingShape, prepare_evaluation, prepare_training

    data = DataFolder(folder, mirror)
    if training:
        prepare_training(data, TrainingShape(set="photographs", scales=(2, 3), patch=12, stride=6))
    else:
        prepare_evaluation(data, EvaluationShape("photographs", 3))


def _network() -> Any:
    import torch

    from srrepro.models.srcnn import ThreeLayers

    torch.manual_seed(0)
    return ThreeLayers(kernels=(3, 1, 3), filters=(4, 3))(3)


def _subject(name: str = "srcnn-915") -> Any:
    from srrepro import models
    from srrepro.evaluation.weights import of_run

    return of_run(models.recipe(name), 3, 0, 1.0)


def _checkpoint(folder: Path, _mirror: Path) -> None:
    from srrepro.training import checkpoint

    checkpoint.save(folder / "a-run" / "checkpoint.safetensors", {"network": _network().state_dict(), "step": 3})


def _weights(folder: Path, _mirror: Path) -> None:
    from srrepro.evaluation import weights

    weights.save(_network(), folder / "weights.safetensors", _subject())


def _evidence(folder: Path, mirror: Path) -> None:
    from srrepro.evaluation.measure import Score
    from srrepro.reporting import evidence

    metrics = dict.fromkeys(("psnr_db", "ssim", "bicubic_psnr_db", "bicubic_ssim"), 0.5)
    scores = [Score("Set5", 3, "baby", "matlab-y-v1", metrics)]
    about = {"weights_sha256": "0" * 64, "threads": 1}
    if not (folder / "runs" / "a-run").exists():
        made = mirror / "photographs" / "a.png"  # any file
        log = [{"backprops": 8, "step": 1, "seconds": 1.0, "Set5_psnr_db": 31.0}]
        evidence.write(folder / "runs", "a-run", _subject(), scores, about=about, log=log, weights=made)


def _tables(folder: Path, _mirror: Path) -> None:
    from srrepro.reporting import tables

    (folder / "runs" / "a-run").mkdir(parents=True, exist_ok=True)
    files = {folder / name: "a,b\n" * 1000 for name in ("quality.csv", "training.csv", "tables.md")}
    tables.generated = lambda results, readme: files  # to make them takes seconds, and is not what may fail
    tables.write(folder, readme=None)


def _page(folder: Path, _mirror: Path) -> None:
    from srrepro.reporting import site

    (folder / "report").mkdir(exist_ok=True)
    site._put(folder / "report", {"index.html": b"<p>" * 1000, "speed.svg": b"<svg/>", "inputs.json": b"{}\n"})


def _text(folder: Path, _mirror: Path) -> None:
    from srrepro.whole import written_whole

    written_whole(folder / "rows.csv", "a,b\n" * 1000)


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "training store": partial(_stores, training=True),
    "evaluation store": partial(_stores, training=False),
    "checkpoint": _checkpoint,
    "weights": _weights,
    "evidence": _evidence,
    "tables": _tables,
    "page": _page,
    "text": _text,
}
