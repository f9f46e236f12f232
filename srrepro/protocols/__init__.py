"""Measurements as values. `PROTOCOLS` has those that have names, `{name: protocol}`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srrepro.protocols.named import PROTOCOLS

__all__ = ["PROTOCOLS"]


def __getattr__(name: str) -> Any:
    if name == "PROTOCOLS":  # its own files import this package first
        from srrepro.protocols.named import PROTOCOLS

        return PROTOCOLS
    msg = f"module 'srrepro.protocols' has no attribute {name!r}"
    raise AttributeError(msg)
