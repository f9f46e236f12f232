"""srrepro reproduces super-resolution papers and shows how far every number is from the published one."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srrepro.evaluation.upscaler import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":  # torch takes a second to import: only who upscales pays for it
        from srrepro.evaluation.upscaler import load

        return load
    msg = f"module 'srrepro' has no attribute {name!r}"
    raise AttributeError(msg)
