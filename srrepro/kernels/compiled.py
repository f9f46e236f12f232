"""The convolutions in C, compiled for this processor the first time that they are wanted."""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

from srrepro.progress import say

FLAGS = ("-O3", "-shared", "-fPIC")
POINTER, NUMBER = ctypes.c_void_p, ctypes.c_long
FUNCTIONS = {
    "convolve": (POINTER, *[NUMBER] * 5, POINTER, POINTER, NUMBER, NUMBER, NUMBER, POINTER),
    "convolve_weights": (POINTER, *[NUMBER] * 5, POINTER, NUMBER, NUMBER, POINTER),
    "rectify_back": (POINTER, POINTER, NUMBER, NUMBER, POINTER, POINTER),
    "winograd_filters": (POINTER, NUMBER, NUMBER, POINTER),
    "winograd_filters_back": (POINTER, NUMBER, NUMBER, POINTER),
    "winograd": (POINTER, *[NUMBER] * 5, POINTER, POINTER, *[NUMBER] * 4, POINTER, POINTER),
    "winograd_weights": (POINTER, *[NUMBER] * 5, POINTER, *[NUMBER] * 3, POINTER, POINTER),
    "chain_forward": (POINTER, NUMBER, POINTER, *[NUMBER] * 3, POINTER, POINTER),
    "chain_back": (POINTER, NUMBER, POINTER, *[NUMBER] * 3, POINTER, POINTER, POINTER),
}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled functions, or None where there is no C compiler that makes them.

    They are kept in the user's cache folder, under a name that stands for the source, the compiler and the processor.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    source = Path(str(files("srrepro"))) / "kernels" / "convolution.c"
    try:
        known = "\0".join([source.read_text(encoding="utf-8"), _output(compiler, "--version"), *FLAGS, _processor()])
        kept = _cache() / f"convolution-{hashlib.sha256(known.encode()).hexdigest()[:16]}.so"
        if kept.exists():
            return _declared(ctypes.CDLL(str(kept)))
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            made = Path(folder) / kept.name
            _compile(compiler, source, made)
            _keep(made, kept)
            return _declared(ctypes.CDLL(str(made)))
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        say(f"the convolutions in C could not be compiled by {compiler}, so PyTorch's are used: {said}")
        return None


def _compile(compiler: str, source: Path, made: Path) -> None:
    try:
        _output(compiler, *FLAGS, "-march=native", str(source), "-o", str(made))
    except subprocess.CalledProcessError:  # some compilers for Arm know the processor by another name
        _output(compiler, *FLAGS, "-mcpu=native", str(source), "-o", str(made))


def _keep(made: Path, kept: Path) -> None:
    part = kept.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):  # no place for it: the next process compiles again
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, part)
        part.replace(kept)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def _processor() -> str:
    """What `native` means here; a cache folder may be shared by machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return platform.platform() + platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model", "flags", "Features", "CPU part"))}))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "srrepro"


def _declared(functions: ctypes.CDLL) -> ctypes.CDLL:
    for name, arguments in FUNCTIONS.items():
        function = getattr(functions, name)
        function.argtypes, function.restype = arguments, None
    functions.winograd_room.argtypes, functions.winograd_room.restype = (NUMBER, NUMBER), NUMBER
    functions.chain_room.argtypes, functions.chain_room.restype = (POINTER, NUMBER, NUMBER, NUMBER), NUMBER
    return functions
