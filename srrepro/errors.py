"""The one error that a user's input can cause; every verb turns it into one message and exit code 2."""


class InputError(Exception):
    """What was asked, what was found, what to do: in that order, in one message."""


class Lacking(InputError):
    """Data that neither the mirror nor the network has, so that there is nothing to be right or wrong."""
