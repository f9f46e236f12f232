"""The convolutions in C, compiled for this processor the first time that they are wanted."""

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
    "winograd_filters": (POINTER, NUMBER, POINTER),
    "winograd_filters_back": (POINTER, NUMBER, POINTER),
    "winograd": (POINTER, *[NUMBER] * 5, POINTER, POINTER, NUMBER, NUMBER, POINTER, POINTER),
    "winograd_weights": (POINTER, *[NUMBER] * 5, POINTER, NUMBER, POINTER, POINTER),
}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled functions, or None where there is no C compiler that makes them.

    They are kept in the user's cache folder, under a name that stands for the source, the compiler and the processor.
    """
    source = Path(str(files("srrepro"))) / "kernels" / "convolution.c"
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    try:
        version = _output(compiler, "--version")
    except (OSError, subprocess.SubprocessError):
        return None
    known = hashlib.sha256("\0".join([source.read_text(), version, *FLAGS, _processor()]).encode()).hexdigest()
    for folder in (_cache(), Path(tempfile.gettempdir()) / f"srrepro-{os.getuid()}"):
        file = folder / f"convolution-{known[:16]}.so"
        try:
            if not file.exists():
                _compile(compiler, source, file)
            return _declared(ctypes.CDLL(str(file)))
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or error
            say(f"the convolutions in C could not be compiled into {folder}, PyTorch's are used: {said}")
    return None


def _compile(compiler: str, source: Path, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        made = Path(folder) / file.name
        try:
            _output(compiler, *FLAGS, "-march=native", str(source), "-o", str(made))
        except subprocess.CalledProcessError:  # clang for Arm knows the processor by another name
            _output(compiler, *FLAGS, "-mcpu=native", str(source), "-o", str(made))
        made.replace(file)


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
    return functions
