"""The one error that a user's input can cause, and how a run may end before its time; verbs make messages of them."""


class InputError(Exception):
    """What was asked, what was found, what to do: in that order, in one message."""


class Lacking(InputError):
    """Data that neither the mirror nor the network has, so that there is nothing to be right or wrong."""


class Stopped(Exception):  # noqa: N818 (no error: somebody asked for it)
    """A run was asked to stop, and left a checkpoint."""


class OutOfTime(Stopped):
    """A run has stopped because its time was up, as planned."""


class Failed(Exception):  # noqa: N818
    """What was asked for was done, and the answer is no: a number that moved, a job that failed."""


class Diverged(Exception):  # noqa: N818
    """The loss is no longer a number."""
