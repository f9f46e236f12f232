"""The one error that a user's input can cause, and how a run may end before its time; verbs make messages of them."""

from collections.abc import Iterable
from difflib import get_close_matches

from srrepro.plain import plain


class InputError(Exception):
    """What was asked, what was found, what to do: in that order, in one message.

    Names of strangers stand in it, and what they say of themselves, so it is plain text.
    """

    def __str__(self) -> str:
        return plain(super().__str__())


class Lacking(InputError):
    """Data that neither the mirror nor the network has, so that there is nothing to be right or wrong."""


class Unreachable(Lacking):
    """Nobody answers where data comes from: `host` is who was asked, `reason` what came instead of an answer."""

    def __init__(self, message: str, host: str, reason: str) -> None:
        super().__init__(message)
        self.host, self.reason = host, reason


class Stopped(Exception):  # noqa: N818 (no error: somebody asked for it)
    """A run was asked to stop, and left a checkpoint; `again` is what resumes it."""

    again = "give the same command again"


class OutOfTime(Stopped):
    """A run has stopped because its time was up, as planned."""


class Failed(Exception):  # noqa: N818
    """What was asked for was done, and the answer is no: a number that moved, a job that failed."""


class Diverged(Exception):  # noqa: N818
    """Loss or weights are no longer numbers; `step` is where that was found. The last good checkpoint is kept."""

    def __init__(self, message: str, step: int = 0) -> None:
        super().__init__(message)
        self.step = step


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy or PyTorch was refused memory; PyTorch has no class of error for a processor's."""
    words = ("not enough memory", "can't allocate memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(each in str(error) for each in words)
    )


def out_of_memory(error: BaseException) -> str:
    """One sentence of it, whoever was refused, and what to do."""
    said = str(error).splitlines()[0] if str(error) else "no more could be had"
    return f"There is not enough memory ({said}). Give a smaller --memory, a smaller image, or stop other programs."


def instead(name: str, known: Iterable[str]) -> str:
    """The sentence that a message about an unknown name ends with: the names that are near, or all that there are.

    >>> instead("set5", ["T91", "Set5", "Set14"])
    'Did you mean Set5?'
    >>> instead("faces", ["T91", "Set5", "Set14"])
    'There are T91, Set5 and Set14.'
    """
    names = {each.casefold(): each for each in known}
    asked = name.casefold()
    begun = [each for each in names if asked and each.startswith(asked)]
    near = [asked] if asked in names else begun[:3] or get_close_matches(asked, names, cutoff=0.7)
    if near:
        return f"Did you mean {_listed([names[each] for each in near], 'or')}?"
    return f"There are {_listed(list(names.values()), 'and')}."


def _listed(names: list[str], last: str) -> str:
    return f" {last} ".join([*([", ".join(names[:-1])] if names[:-1] else []), *names[-1:]])
