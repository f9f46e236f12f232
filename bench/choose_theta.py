"""How the clipping bound of VDSR was chosen: short runs of `vdsr-t91` at its first learning rate, judged on val20.

    python bench/choose_theta.py --data datasets results/choices
    python bench/choose_theta.py --data datasets --recipe vdsr-t91-code-mirrored results/choices

The second looks whether the authors' own bound is the best of its neighbours at depth 20; its files are called after
the recipe. Writes `vdsr-theta.csv`, one row a variant: what val20 reads at the end, the mean share of changed gradient
elements and the norm of the last gradients before clipping; and `vdsr-theta-gradients.csv`, the same for each layer's
weights during the run. Rows are written as they come; variants that the first file holds are skipped.
Docs: docs/experiments/vdsr-clipping.md.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pandas as pd
import torch
from torch import Tensor

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import Diverged
from srrepro.hardware import Hardware, machine
from srrepro.models.recipe import Constant, EuclideanLoss, MeanSquaredError
from srrepro.models.vdsr import ClipByNorm, ClipByRate
from srrepro.training.loop import train
from srrepro.training.run import Run

ITERATIONS = 150
EVERY = 10  # iterations between two rows of the gradients' table
LOSSES = {"sum / 2N": EuclideanLoss(), "mean": MeanSquaredError()}
CLIPS: tuple[ClipByRate | ClipByNorm, ...] = (
    *(ClipByRate(theta) for theta in (1e-4, 3e-5, 1e-3, 1e-5, 1e-2)),
    ClipByNorm(1e-2),
)


@dataclass(frozen=True)
class Noting:
    """Clips, and writes down what there was to clip."""

    clip: ClipByRate | ClipByNorm
    rows: list[dict[str, float]]

    def __call__(self, gradients: list[Tensor], lr: float) -> None:
        before = [gradient.clone() for gradient in gradients]
        self.clip(gradients, lr)
        for layer in range(0, len(gradients), 2):  # weights and biases in turn
            row = {"call": len(self.rows) // (len(gradients) // 2) + 1, "layer": layer // 2 + 1}
            changed = (before[layer] != gradients[layer]).float().mean()
            self.rows.append(row | {"norm": before[layer].norm().item(), "clipped_share": changed.item()})


def measured(
    name: str, clip: ClipByRate | ClipByNorm, loss: Any, folder: DataFolder
) -> tuple[dict[str, Any], pd.DataFrame]:
    recipe, noting = models.recipe(name), Noting(clip, [])
    assert recipe.training is not None
    training = replace(
        recipe.training,
        schedule=Constant(0.1),
        loss=loss,
        clip=noting,
        logged=(),
        validation="val20",
        backprops=ITERATIONS * recipe.training.batch,
        epochs=None,
    )
    hardware = Hardware(precision="float32").settled()
    run = Run(recipe=replace(recipe, training=training), log_points=1, hardware=hardware, folder=folder)
    row: dict[str, Any] = {"backprops": training.backprops, "mode": hardware.mode}
    with TemporaryDirectory() as workplace:
        try:
            _, state = train(run, Path(workplace))
        except Diverged:
            row |= {"diverged": True}
        else:
            row |= {key: state.log[-1][key] for key in state.log[-1] if key.startswith(("val20", "loss", "seconds"))}
    return row, pd.DataFrame(noting.rows)


@click.command()
@click.argument("place", type=click.Path(path_type=Path, file_okay=False))
@click.option("--recipe", "name", default="vdsr-t91", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(place: Path, name: str, data: Path, mirror: Path | None) -> None:
    training = models.recipe(name).training
    assert training is not None
    usual = name == "vdsr-t91"
    stem = "vdsr-theta" if usual else f"{name}-theta"
    losses: dict[str, Any] = LOSSES if usual else {"the recipe's": training.loss}
    clips = CLIPS if usual else CLIPS[:4]
    table, layers = place / f"{stem}.csv", place / f"{stem}-gradients.csv"
    place.mkdir(parents=True, exist_ok=True)
    rows: list[Any] = pd.read_csv(table).to_dict("records") if table.exists() else []
    noted = [pd.read_csv(layers)] if layers.exists() else []
    done = {(row["clipping"], row["theta"], row["loss_kind"]) for row in rows}
    for clip, kind in [(clip, kind) for clip in clips for kind in losses]:
        if (type(clip).__name__, clip.theta, kind) in done:
            continue
        variant: dict[str, Any] = {"clipping": type(clip).__name__, "theta": clip.theta, "loss_kind": kind}
        row, gradients = measured(name, clip, losses[kind], DataFolder(data, mirror))
        shares = {"clipped_share": gradients["clipped_share"].mean(), "last_norm": _total(gradients)}
        rows.append(variant | row | shares | {"threads": torch.get_num_threads(), "machine": machine("cpu")})
        noted.append(pd.DataFrame(gradients[gradients["call"] % EVERY == 0]).assign(**variant))
        pd.DataFrame(rows).to_csv(table, index=False, lineterminator="\n")
        pd.concat(noted).to_csv(layers, index=False, lineterminator="\n", float_format="%.6g")


def _total(gradients: pd.DataFrame) -> float:
    last = gradients[gradients["call"] == gradients["call"].max()]
    return float((last["norm"] ** 2).sum() ** 0.5)


if __name__ == "__main__":
    main()
