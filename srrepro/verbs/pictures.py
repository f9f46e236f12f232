"""The verb for pictures of one's own: `upscale`."""

from pathlib import Path

import click

from srrepro.data.registry import DataFolder
from srrepro.evaluation.upscaler import load
from srrepro.hardware import Hardware
from srrepro.options import places, runs_on, scale_option, verb
from srrepro.pixels import images

PICTURES = "srcnn-915-quick"


@verb(epilog="Example: srrepro upscale photo.jpg photo_x3.png --scale 3")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@scale_option
@click.option(
    "--model", default=PICTURES, show_default=True, metavar="RECIPE|WEIGHTS", help="As for `srrepro evaluate`."
)
@click.option("--force", is_flag=True, help="Replace OUT.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="bfloat16 costs about 0.1 dB. On a processor float32 in mode native may be twice as fast.",
)
@runs_on
@places
def upscale(
    source: Path,
    target: Path,
    scale: int,
    model: str,
    force: bool,
    hardware: Hardware,
    folder: DataFolder,
) -> None:
    """Enlarge a picture of your own: luminance by the network, colour by bicubic.

    Transparency and colour profiles are dropped.
    """
    images.check_target(target, force=force)
    low = images.read(source, upright=True)
    upscaler = load(model, scale, folder=folder, hardware=hardware)
    estimate = upscaler.image(low)
    images.write(target, estimate)
    height, width = estimate.shape[:2]
    click.echo(f"written: {target}, {width}×{height}, by {upscaler.subject.name}")
