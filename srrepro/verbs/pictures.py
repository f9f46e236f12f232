"""The verb for pictures of one's own: `upscale`."""

from collections.abc import Iterator, Sequence

import click

from srrepro.data.registry import DataFolder
from srrepro.errors import Failed, InputError, is_out_of_memory, out_of_memory
from srrepro.evaluation.pictures import LARGEST, Enlarger, side_by_side
from srrepro.hardware import Hardware
from srrepro.options import Finite, places, runs_on, subjects_begun, verb
from srrepro.pixels import paths, picture
from srrepro.pixels.decoding import look
from srrepro.pixels.paths import Job
from srrepro.progress import say, track

PICTURES = "srcnn-915-quick"


@verb(epilog="Example: srrepro upscale photo.jpg photo_x3.png --scale 3")
@click.argument("sources", metavar="IN...", nargs=-1, required=True)
@click.argument("target", metavar="OUT")
@click.option(
    "--scale",
    type=Finite(1, LARGEST),
    required=True,
    help="1 to 16, also 2.5. Networks are made for 2, 3 and 4: others are the next larger one reduced by bicubic, and "
    "beyond 4 two networks follow each other (8 is x4, then x2).",
)
@click.option(
    "--model",
    default=PICTURES,
    show_default=True,
    metavar="RECIPE|WEIGHTS",
    shell_complete=subjects_begun,
    help="As for `srrepro evaluate`; or RECIPE=WEIGHTS.",
)
@click.option("--compare", is_flag=True, help="Write OUT_compare.png, too: bicubic left, the network right.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
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
    sources: tuple[str, ...],
    target: str,
    scale: float,
    model: str,
    compare: bool,
    force: bool,
    hardware: Hardware,
    folder: DataFolder,
) -> None:
    """Enlarge pictures of your own: files, folders or patterns; PNG, JPEG, TIFF, WebP, BMP.

    OUT is a file for one picture. For several it is a folder, and photo.jpg becomes photo_x3.jpg in it.

    The network makes the luminance; colour and transparency are enlarged by bicubic. Pictures are turned upright. 16
    bits (PNG, TIFF), transparency (PNG, TIFF, WebP), colour profile, date, camera and place are kept.
    """
    jobs = paths.jobs(sources, target, scale, compare=compare, force=force)
    enlarger = Enlarger.load(model, scale, folder=folder, hardware=hardware)
    work = _Work(jobs, enlarger, compare)
    try:
        for _ in track(work.steps(), "upscaling", total=work.total):
            pass
    finally:
        for line in work.written:
            click.echo(line)
    if work.failed:
        names = ", ".join(str(job.source) for job in work.failed)
        msg = f"{len(work.failed)} of {len(jobs)} pictures were not enlarged: {names}."
        raise Failed(msg)


class _Work:
    """What is done and what is left; one picture alone that fails is an error, among several it is named."""

    def __init__(self, jobs: Sequence[Job], enlarger: Enlarger, compare: bool) -> None:
        self._enlarger, self._compare, self._alone = enlarger, compare, len(jobs) == 1
        self.written: list[str] = []
        self.failed: list[Job] = []
        self._jobs: list[Job] = []
        self.total = 0
        for job in jobs:  # all of them are looked at before the first is worked on
            try:
                found = look(job.source)
                size = enlarger.size(found.width, found.height)
                picture.check_holds(job.target, job.source, width=size[0], height=size[1])
            except InputError as error:
                self._fail(job, error)
            else:
                self._jobs.append(job)
                self.total += enlarger.steps(found.width, found.height, alpha=found.alpha, compare=compare)

    def steps(self) -> Iterator[None]:
        for job in self._jobs:
            try:
                yield from self._do(job)
            except (InputError, OSError, MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                    raise
                self._fail(job, error)

    def _fail(self, job: Job, error: Exception) -> None:
        if self._alone:
            raise error
        why = f"{job.source}: {out_of_memory(error)}" if is_out_of_memory(error) else error
        say(f"not enlarged: {why}")
        self.failed.append(job)

    def _do(self, job: Job) -> Iterator[None]:
        low = picture.read(job.source)
        self._enlarger.check_memory(low, compare=self._compare)
        high = yield from self._enlarger.enlarge(low)
        job.target.parent.mkdir(parents=True, exist_ok=True)
        picture.write(job.target, high)
        width, height = high.size
        self.written.append(f"written: {job.target}, {width}×{height}, by {self._enlarger.by}")
        if self._compare:
            plain = yield from self._enlarger.by_bicubic(low)
            names = "bicubic", f"{self._enlarger.model} x{self._enlarger.scale:g}"
            picture.write(job.compared, side_by_side(plain, high, names))
            self.written.append(f"written: {job.compared}")
