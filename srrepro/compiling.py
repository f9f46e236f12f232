"""C beside our Python, compiled for this processor when it is first wanted; PyTorch serves where no compiler is."""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from srrepro.progress import say

FLAGS = ("-O3", "-shared", "-fPIC")
POINTER, NUMBER = ctypes.c_void_p, ctypes.c_int64
Arguments = tuple[Any, ...]


def compiled(name: str, functions: Mapping[str, Arguments], *flags: str) -> ctypes.CDLL | None:
    """The functions of `srrepro/<name>.c`, or None where there is no C compiler that makes them; call it once.

    They are kept in the user's cache folder, under a name that stands for source, flags, compiler and processor, and
    for the content itself. What is kept is loaded only if

    - nobody but the user and root can change the folder, or anything on the way to it (`_stranger`);
    - the file is the user's own, and nobody else may write it: these two keep out what others put there;
    - its bytes are those that were put there, by the digest in its name: this is for files cut short or gone bad. It
      keeps nobody out, because who can write the file can name it, too.

    Where that cannot be had, every process compiles into a folder of its own that only the user may enter. The compiler
    is what the user's own environment names, CC or PATH: who can set these can run anything anyway. Windows has other
    permissions: there the digest alone is checked.
    """
    found = compiler()
    if found is None:
        return None
    command = shlex.split(found)  # CC may hold options
    source = Path(str(files("srrepro"))) / f"{name}.c"
    try:
        text, version = source.read_text(encoding="utf-8"), _output(*command, "--version")
        known = "\0".join([text, *command, version, *FLAGS, *flags, _processor()])
        begun = f"{source.stem}-{_digest(known.encode())[:16]}"
        folder = _safe_folder()
        kept = None if folder is None else _kept(folder, begun)
        if kept is not None:
            with contextlib.suppress(OSError):  # from some folders nothing may be loaded
                return _declared(ctypes.CDLL(str(kept)), functions)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            made = Path(place) / f"{begun}.so"
            _compile(command, flags, source, made)
            kept = None if folder is None else _keep(made, folder, begun)
            if kept is not None:
                with contextlib.suppress(OSError):
                    return _declared(ctypes.CDLL(str(kept)), functions)
            return _declared(ctypes.CDLL(str(made)), functions)
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


def _safe_folder() -> Path | None:
    """The cache folder, made if it lacks; None, and one sentence, where others could put something into it."""
    folder = cache_folder().absolute()
    try:
        for place in reversed((folder, *folder.parents)):
            if not place.exists():
                place.mkdir(0o700, exist_ok=True)
        stranger = _stranger(folder, last=True)
    except OSError:  # no place for it: every process compiles again
        return None
    if stranger:
        _say_once(
            f"Compiled code is not kept in {folder}, and none is loaded from there, because {stranger}; it is compiled "
            "anew at every start. Mend that, or name a folder of your own by XDG_CACHE_HOME."
        )
        return None
    return folder


_say_once = functools.cache(say)


def _stranger(path: Path, *, last: bool = False) -> str:
    """Who else could change what is found at an absolute path, in words; empty where only the user and root can.

    Every folder on the way counts, because who can write one can put another folder in the place of the next; so does
    every link, and the way to where it leads. A folder where everybody keeps what is their own (sticky, such as /tmp)
    will do on the way. The last one must be the user's.
    """
    if not hasattr(os, "getuid"):  # Windows
        return ""
    path.resolve(strict=True)  # a link that leads to itself is an error here
    for place in (*reversed(path.parents), path):
        about = place.lstat()
        ends = last and place == path
        if about.st_uid != os.getuid() and (ends or about.st_uid != 0):
            return f"{place} belongs to another user"
        if stat.S_ISLNK(about.st_mode):
            stranger = _stranger(Path(os.path.normpath(place.parent / place.readlink())), last=ends)
            if stranger:
                return stranger
        elif about.st_mode & stat.S_IWOTH and (ends or not about.st_mode & stat.S_ISVTX):
            return f"everybody may write to {place}"
        elif about.st_mode & stat.S_IWGRP and (ends or not about.st_mode & stat.S_ISVTX) and not _alone(about.st_gid):
            return f"a group may write to {place}"
    return ""


def _alone(group: int) -> bool:
    """Whether the group is one that many systems give every user, called as the user and with no other member."""
    import grp
    import pwd

    try:
        user, found = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == user and set(found.gr_mem) <= {user}


def _kept(folder: Path, begun: str) -> Path | None:
    """The file whose name begins so, if it is what was put there; what is not is removed, and that is said."""
    for path in sorted(folder.glob(f"{begun}-*.so")):
        fault = _fault(path)
        if not fault:
            return path
        say(f"{path} is not loaded, because {fault}; it is compiled anew.")
        with contextlib.suppress(OSError):
            path.unlink()
    return None


def _fault(path: Path) -> str:
    about = path.lstat()
    if not stat.S_ISREG(about.st_mode):
        return "it is no file"
    if hasattr(os, "getuid") and about.st_uid != os.getuid():
        return "it belongs to another user"
    if hasattr(os, "getuid") and about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write it"
    whole = path.stem.rpartition("-")[2] == _digest(path.read_bytes())
    return "" if whole else "its bytes are not those that were put there"


def _keep(made: Path, folder: Path, begun: str) -> Path | None:
    """The file's place in the folder, whole or not at all, for the user alone."""
    content = made.read_bytes()
    kept = folder / f"{begun}-{_digest(content)}.so"
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{begun}-", delete=False) as part:  # 0600
            try:
                part.write(content)
                part.close()
                Path(part.name).replace(kept)
            except OSError:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError:  # no place for it: the next process compiles again
        return None
    return kept


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
