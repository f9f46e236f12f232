"""The name by which `imresize` was public first."""

from srrepro.pixels.resize import imresize

__all__ = ["imresize"]
