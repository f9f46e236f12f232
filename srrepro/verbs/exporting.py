"""The verb that hands networks to other programs: `export`."""

from pathlib import Path

import click

from srrepro.data.registry import DataFolder
from srrepro.evaluation.export import export as export_network
from srrepro.options import places, scale_option, subject_argument, verb


@verb(epilog="Example: srrepro export srcnn-915-quick srcnn.onnx --scale 3")
@subject_argument
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@scale_option
@click.option("--force", is_flag=True, help="Replace OUT.")
@places
def export(subject: str, target: Path, scale: int, force: bool, folder: DataFolder) -> None:
    """Write a network for another program: OUT.onnx, OUT.mat as the paper's authors have it, or OUT.pth.

    The file is read back and must give the same images as here. For a .pth, the code that reads it with PyTorch alone
    is printed.
    """
    exported = export_network(subject, scale, target, folder=folder, force=force)
    size = f"{target.stat().st_size / 1e3:.0f} kB"
    closeness = "its estimates are srrepro's" + (f" to {exported.difference:.0e}" if exported.difference else "")
    if exported.code:
        click.echo(f"# written: {target}, {size}; {closeness}, by this code\n{exported.code}", nl=False)
        return
    click.echo(f"written: {target}, {size}, {exported.about['name']} at x{scale}; {closeness}")
    click.echo(f"takes {exported.about['takes']}\ngives {exported.about['gives']}")
