"""The name by which `luminance` was public first."""

from srrepro.pixels.color import luminance

__all__ = ["luminance"]
