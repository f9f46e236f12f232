"""A run's log as it comes, for TensorBoard."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from srrepro.errors import InputError

Row = Mapping[str, float]
Follow = Callable[[Row], None]


def check_tensorboard(folder: Path) -> None:
    """Find out before long work whether a log can be followed in that folder.

    Raises
    ------
    InputError : TensorBoard is not installed, or the folder is a file.
    """
    if find_spec("tensorboard") is None:
        msg = (
            f"The log was to be followed in {folder}, but TensorBoard is not installed. "
            "The extra `tensorboard` brings it; in the clone: pip install -e '.[tensorboard]'."
        )
        raise InputError(msg)
    if folder.exists() and not folder.is_dir():
        msg = f"The log was to be followed in {folder}, but that is a file. Name a folder."
        raise InputError(msg)


@contextmanager
def following(folder: Path | None, run: str, log: Sequence[Row]) -> Iterator[Follow]:
    """What takes each new row of a run's log; the columns of `log.csv` by backprops, in a folder of the run's name.

    `log` is what there is already of a resumed run. It is written anew, and TensorBoard drops what it read before: the
    run may have come from another machine, or have lost a row when it was killed. Without a folder nothing is written.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    if folder is None:
        yield lambda _row: None
        return
    from torch.utils.tensorboard import SummaryWriter  # here: an extra, and it takes a second

    try:
        writer = SummaryWriter(str(folder / run), purge_step=0)
    except OSError as error:
        msg = f"The log was to be followed in {folder / run}, but that cannot be written: {error.strerror or error}."
        raise InputError(msg) from error

    def follow(row: Row) -> None:
        for column in row.keys() - {"backprops"}:
            writer.add_scalar(column, row[column], int(row["backprops"]))
        writer.flush()

    try:
        for row in log:
            follow(row)
        yield follow
    finally:
        writer.close()
