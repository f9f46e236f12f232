"""C beside our Python, compiled for this processor when it is first wanted; PyTorch serves where no compiler is."""

import contextlib
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from srrepro.progress import say
from srrepro.whole import file_part

FLAGS = ("-O3", "-shared", "-fPIC")
POINTER, NUMBER = ctypes.c_void_p, ctypes.c_long
Arguments = tuple[Any, ...]


def compiled(name: str, functions: Mapping[str, Arguments], *flags: str) -> ctypes.CDLL | None:
    """The functions of `srrepro/<name>.c`, or None where there is no C compiler that makes them; call it once.

    They are kept in the user's cache folder, under a name that stands for source, flags, compiler and processor.
    """
    found = compiler()
    if found is None:
        return None
    command = shlex.split(found)  # CC may hold options
    source = Path(str(files("srrepro"))) / f"{name}.c"
    try:
        text, version = source.read_text(encoding="utf-8"), _output(*command, "--version")
        known = "\0".join([text, version, *FLAGS, *flags, _processor()])
        kept = cache_folder() / f"{source.stem}-{hashlib.sha256(known.encode()).hexdigest()[:16]}.so"
        with contextlib.suppress(OSError):  # not there, or cut short by a full disk
            return _declared(ctypes.CDLL(str(kept)), functions)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            made = Path(folder) / kept.name
            _compile(command, flags, source, made)
            _keep(made, kept)
            # Where it is kept first: from some folders for temporary files nothing may be loaded.
            return _declared(ctypes.CDLL(str(kept if os.path.exists(kept) else made)), functions)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        say(f"{source.name} could not be compiled by {found}, so PyTorch does its work: {said}")
        return None


def compiler() -> str | None:
    """The C compiler's command, if there is one."""
    return os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def _compile(compiler: list[str], flags: tuple[str, ...], source: Path, made: Path) -> None:
    try:
        _output(*compiler, *FLAGS, *flags, "-march=native", str(source), "-o", str(made))
    except subprocess.CalledProcessError:
        if platform.machine().lower() not in {"arm64", "aarch64"}:
            raise
        # Some compilers for Arm know the processor by another name.
        _output(*compiler, *FLAGS, *flags, "-mcpu=native", str(source), "-o", str(made))


def _keep(made: Path, kept: Path) -> None:
    with contextlib.suppress(OSError):  # no place for it: the next process compiles again
        kept.parent.mkdir(parents=True, exist_ok=True)
        with file_part(kept) as part:
            shutil.copyfile(made, part)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def _processor() -> str:
    """What `native` means here; a cache folder may be shared by machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return platform.platform() + platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model", "flags", "Features", "CPU part"))}))


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "srrepro"


def _declared(library: ctypes.CDLL, functions: Mapping[str, Arguments]) -> ctypes.CDLL:
    for name, arguments in functions.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, None
    return library
