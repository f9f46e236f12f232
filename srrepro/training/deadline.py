"""When a command must stop: a moment on a clock that nobody sets."""

import math
import re
from dataclasses import dataclass
from time import monotonic

from srrepro.errors import InputError

LONGEST_S = 366 * 24 * 3600
_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?")


@dataclass(frozen=True)
class Deadline:
    """`at` is in seconds of the monotonic clock; infinity never comes."""

    at: float = math.inf

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(monotonic() + seconds)

    @property
    def passed(self) -> bool:
        return monotonic() >= self.at


NEVER = Deadline()


def seconds_of(duration: str) -> int:
    """Seconds of a duration such as `90s`, `45m`, `2h` or `1h30m`.

    Raises
    ------
    InputError : it is no such duration, zero, or more than a year.

    >>> seconds_of("1h30m")
    5400
    """
    found = _DURATION.fullmatch(duration.strip())
    parts = {unit: int(number or 0) for unit, number in found.groupdict().items()} if found else {}
    seconds = 3600 * parts.get("h", 0) + 60 * parts.get("m", 0) + parts.get("s", 0)
    if seconds == 0:
        msg = f"A duration was to be given, but {duration!r} is none. Give one such as 2h, 45m, 1h30m or 90s."
        raise InputError(msg)
    if seconds > LONGEST_S:
        msg = f"A duration was to be given, but {duration!r} is more than a year. Leave --for out to train to the end."
        raise InputError(msg)
    return seconds
