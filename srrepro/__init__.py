"""srrepro reproduces super-resolution papers and shows how far every number is from the published one."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srrepro import protocols
    from srrepro.evaluation.api import evaluate, recipes
    from srrepro.evaluation.upscaler import load

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "load", "protocols", "recipes"]


def __getattr__(name: str) -> Any:
    if name == "protocols":
        return import_module("srrepro.protocols")
    if name in __all__:  # torch takes a second to import: only who measures or upscales pays for it
        return getattr(import_module("srrepro.evaluation.api"), name)
    msg = f"module 'srrepro' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return [*__all__, "__doc__"]
