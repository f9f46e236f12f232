"""What the work is done on, as one value: device, precision, mode, memory, threads. Every rule about them stands here.

Modes carry out the same mathematics. `native`: convolutions in C, compiled here, in float32 on a processor. `eager`:
PyTorch's. `graph`: a training step recorded once and replayed, on a GPU. `compiled`: `torch.compile`, on a GPU.

Precisions are those of training steps; numbers are always measured in float32. `bfloat16` is autocast with float32
weights. `tf32` is float32 whose convolutions multiply in 10 bits, which only GPUs do.

PyTorch is imported where it is needed, so that the command line can name the choices without it.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Literal

from srrepro.errors import InputError

Mode = Literal["native", "eager", "graph", "compiled"]
Precision = Literal["float32", "bfloat16", "tf32"]
Auto = Literal["auto"]
MEMORY = 4 << 30
"""Bytes that patches, or the planes of a network, may take if nobody says otherwise: 4 megapixels of 64 planes."""
CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
"""Where a container finds what it may take, which may be less than the machine has."""
ALONE = RLock()
"""Held while a thread uses what PyTorch has once for the process: flags, and the generator of first parameters."""


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Where and how networks run. `auto` is the fastest that fits; `settled` and `for_numbers` say which that is.

    `memory` bounds, in bytes, the patches that are held and the planes of an image: beyond it, patches are streamed and
    images tiled. `threads` None is PyTorch's number.

    Raises
    ------
    InputError : device, precision and mode do not fit each other.
    """

    device: str = "cpu"
    precision: Precision | Auto = "auto"
    mode: Mode | Auto = "auto"
    memory: int = MEMORY
    threads: int | None = None

    def __post_init__(self) -> None:
        asked = f"{self.precision} on {self.device} in mode {self.mode} was asked for, but"
        if self.precision not in {"auto", *precisions(self.device)}:
            msg = f"{asked} {self.device} has {', '.join(precisions(self.device))}. Leave out --precision."
            raise InputError(msg)
        if self.mode == "native" and (self.device != "cpu" or self.precision not in {"auto", "float32"}):
            msg = (
                f"{asked} native convolutions are float32 on a processor. "
                "Leave out --mode, or give --device cpu --precision float32."
            )
            raise InputError(msg)
        if self.mode in {"graph", "compiled"} and self.device == "cpu":
            msg = f"{asked} that is for GPUs. Leave out --mode."
            raise InputError(msg)

    @classmethod
    def here(
        cls,
        device: str = "auto",
        precision: Precision | Auto = "auto",
        mode: Mode | Auto = "auto",
        memory: int = MEMORY,
    ) -> "Hardware":
        """What a user asked for, on this machine; `device` may be `auto`, too.

        Raises
        ------
        InputError : there is no such device or no compiler here, or something does not fit.
        """
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            msg = "--device cuda was asked for, but PyTorch sees no CUDA device here. Use --device cpu."
            raise InputError(msg)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if mode == "native" and not _compiles():
            msg = (
                "--mode native was asked for, but no C compiler was found that makes it. Install one, or use "
                "--mode eager."
            )
            raise InputError(msg)
        return cls(device=device, precision=precision, mode=mode, memory=memory)

    def settled(self, precision: Precision | None = None) -> "Hardware":
        """For training: the fastest precision, unless one is given here or was asked for, and its fastest mode.

        Threads are those that PyTorch has now.
        """
        import torch

        chosen = precision or (fastest_precision(self.device) if self.precision == "auto" else self.precision)
        mode = fastest_mode(self.device, chosen) if self.mode == "auto" else self.mode
        return replace(self, precision=chosen, mode=mode, threads=self.threads or torch.get_num_threads())

    def for_numbers(self) -> "Hardware":
        """For measurements: float32, in the fastest mode unless native or eager was asked for."""
        asked = self.mode if self.mode in {"native", "eager"} else "auto"
        return replace(self, precision="float32", mode=asked).settled()

    def for_pictures(self) -> "Hardware":
        """As for measurements, but in bfloat16 if that was asked for."""
        return self.settled() if self.precision == "bfloat16" else self.for_numbers()

    @contextmanager
    def flags(self) -> Iterator[None]:
        """On a GPU algorithms that give the same bits every time, and float32 means float32 unless it is `tf32`."""
        if self.device == "cpu":
            yield
            return
        import torch

        tf32, matmul = self.precision == "tf32", torch.backends.cuda.matmul
        with ALONE, torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=tf32):
            before = matmul.allow_tf32
            matmul.allow_tf32 = tf32
            try:
                yield
            finally:
                matmul.allow_tf32 = before

    @property
    def is_settled(self) -> bool:
        return "auto" not in {self.precision, self.mode}

    @property
    def shared_by(self) -> int:
        """Threads that share the work."""
        import torch

        return self.threads or torch.get_num_threads()


def precisions(device: str) -> tuple[Precision, ...]:
    """What a device can train in."""
    return ("float32", "bfloat16") if device == "cpu" else ("float32", "bfloat16", "tf32")


def modes(device: str, precision: str) -> tuple[Mode, ...]:
    """How a device can train in a precision, where everything is installed that this takes."""
    if device != "cpu":
        return ("eager", "graph", "compiled")
    return ("native", "eager") if precision == "float32" and _compiles() else ("eager",)


def fastest_precision(device: str) -> Precision:
    """bfloat16 on GPUs and processors with matrix units for it; float32 where native convolutions are faster than that.

    Without a C compiler, bfloat16 wherever it is multiplied in hardware.
    """
    if not multiplies_bfloat16(device):
        return "float32"
    native = device == "cpu" and _compiles()
    return "float32" if native and "amx_bf16" not in _flags() else "bfloat16"


def fastest_mode(device: str, precision: str) -> Mode:
    """`native` where it can be had. On a GPU `eager`: the others need minutes to begin, and are asked for by name."""
    return modes(device, precision)[0]


def multiplies_bfloat16(device: str) -> bool:
    """In hardware; elsewhere bfloat16 is several times slower than float32."""
    if device == "cpu":
        return bool(_flags() & {"amx_bf16", "avx512_bf16"})
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def machine(device: str) -> str:
    """The processor or GPU that does the work, as people name it."""
    if device != "cpu":
        import torch

        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {os.cpu_count()} cores"


def free_memory() -> int | None:
    """Bytes that a process could take now, of the machine or of its container; None where that is unknown (no Linux).

    A limit by `ulimit` is not seen.
    """
    try:
        lines = MEMINFO.read_text(encoding="utf-8").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    try:
        most, taken = (int((CGROUP / name).read_text(encoding="utf-8")) for name in ("memory.max", "memory.current"))
        words = dict(line.split() for line in (CGROUP / "memory.stat").read_text(encoding="utf-8").splitlines())
        return min(free, max(0, most - taken + int(words.get("inactive_file", 0))))  # files that are read can go
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free


def _compiles() -> bool:
    from srrepro.kernels.compiled import library

    return library() is not None


def _flags() -> set[str]:
    try:
        return set(CPUINFO.read_text(encoding="utf-8").split())
    except OSError:  # no Linux
        return set()


def _processor() -> str:
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in pairs}
    family = "/".join(named[key] for key in ("cpu family", "model") if key in named)
    return f"{named.get('model name', platform.machine())} (family/model {family})"


PLAIN = Hardware(precision="float32", mode="eager")
"""A processor as PyTorch uses it."""
