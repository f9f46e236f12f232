"""The convolutions in C, as Python calls them."""

import ctypes
import functools

from srrepro.compiling import NUMBER, POINTER, compiled

FUNCTIONS = {
    "convolve": (POINTER, *[NUMBER] * 5, POINTER, POINTER, NUMBER, NUMBER, NUMBER, POINTER),
    "convolve_weights": (POINTER, *[NUMBER] * 5, POINTER, NUMBER, NUMBER, POINTER),
    "rectify_back": (POINTER, POINTER, NUMBER, NUMBER, POINTER, POINTER),
    "winograd_filters": (POINTER, NUMBER, NUMBER, POINTER),
    "winograd_filters_back": (POINTER, NUMBER, NUMBER, POINTER),
    "winograd": (POINTER, *[NUMBER] * 5, POINTER, POINTER, *[NUMBER] * 4, POINTER, POINTER),
    "winograd_weights": (POINTER, *[NUMBER] * 5, POINTER, *[NUMBER] * 3, POINTER, POINTER),
    "winograd_room": (NUMBER, NUMBER),
    "chain_squares": (POINTER, NUMBER, POINTER, POINTER, *[NUMBER] * 4, ctypes.c_float, POINTER, POINTER),
    "chain_room": (POINTER, NUMBER, NUMBER, NUMBER),
    "chain_bands": (POINTER, NUMBER, POINTER, *[NUMBER] * 6, POINTER, POINTER),
    "bands_room": (POINTER, *[NUMBER] * 5),
}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled functions, or None where there is no C compiler that makes them."""
    functions = compiled("kernels/convolution", FUNCTIONS)
    if functions is not None:
        functions.winograd_room.restype = functions.chain_room.restype = functions.bands_room.restype = NUMBER
        functions.chain_squares.restype = ctypes.c_double
    return functions
