"""What `srrepro` finds where it is: software, compiler, device, data, weights, folders. It asks no network.

Nothing heavy is imported before it is examined: what is broken must be told, not run into.
"""

import csv
import platform
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import srrepro
from srrepro.compiling import cache_folder, compiler
from srrepro.data.registry import DataFolder, is_present, may_be_copied, members, sets, sha256_of
from srrepro.hardware import CPUINFO, MEMORY, Hardware, fastest_precision, machine, multiplies_bfloat16

State = Literal["ok", "lacking", "broken"]
WIDTH = 80
PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "h5py": "h5py",
    "pandas": "pandas",
    "pillow": "PIL",
    "scikit-image": "skimage",
    "tifffile": "tifffile",
    "safetensors": "safetensors",
    "click": "click",
    "pooch": "pooch",
    "requests": "requests",
}
"""By the names that pip knows, and what is imported."""
EXTRAS = {
    "export": (("onnx", "onnxruntime", "onnxscript"), "networks as ONNX"),
    "report": (("jinja2", "matplotlib"), "the report's page and plots"),
    "tensorboard": (("tensorboard",), "following a training"),
}
TRIED = ("srcnn-915", "vdsr-10-residual")
"""Recipes whose untrained networks are computed in C and by PyTorch: kernels of 9, 5, 3 and 1 pixels."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing: `lacking` is what srrepro can do without. `do` is what to type, or how to help it."""

    about: str
    state: State
    found: str
    do: str = ""


def examine(folder: DataFolder, results: Path) -> list[Finding]:
    """Everything, in the order of a reader's questions."""
    software = list(_software())
    found = [*software]
    if all(each.state != "broken" for each in software):
        found += [_compiler(), _device(), _memory()]
    return [*found, *_weights(), *_folders(folder, results), *_extras(), *_sets(folder)]


def screen(findings: Sequence[Finding]) -> str:
    """The findings in lines of 80 characters, sets of one state together."""
    rows = [finding for finding in findings if not finding.about.startswith("set ")]
    for state in ("ok", "lacking"):
        alike = [finding for finding in findings if finding.about.startswith("set ") and finding.state == state]
        if alike:
            names = ", ".join(f"{each.about.removeprefix('set ')} ({each.found})" for each in alike)
            do = f"{alike[0].do} (or other names; without a name: all)" if state == "lacking" else ""
            rows.append(Finding(about="data sets", state=alike[0].state, found=names, do=do))
    lines: list[str] = []
    for row in rows:
        start = f"{row.state:<8} {row.about:<11} "
        texts = [row.found, *([f"-> {row.do}"] if row.do else [])]
        for text in texts:
            later = " " * len(start)
            lines += textwrap.wrap(
                text,
                WIDTH,
                initial_indent=start,
                subsequent_indent=later,
                break_on_hyphens=False,
                break_long_words=False,
            )
            start = " " * len(start)
    return "\n".join(lines)


def _software() -> Iterator[Finding]:
    yield Finding(
        about="srrepro",
        state="ok",
        found=f"{srrepro.__version__}, Python {platform.python_version()}, {platform.system()}",
    )
    versions, broken = [], []
    for package, module in PACKAGES.items():
        try:
            import_module(module)
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(package)  # it can be imported; which one it is, is not known
        except Exception as error:  # a library that does not fit raises nearly anything
            broken.append(f"{package} ({type(error).__name__}: {error})")
    yield Finding(about="packages", state="ok", found=", ".join(versions))
    if broken:
        do = "install srrepro anew: pip install -c constraints.txt ."
        yield Finding(about="packages", state="broken", found=f"cannot be imported: {', '.join(broken)}", do=do)


def _compiler() -> Finding:
    from srrepro.kernels.compiled import library

    found = compiler()
    if found is None:
        text = "no C compiler: PyTorch computes all (mode eager), the same but for rounding, in more time"
        return Finding(about="compiler", state="lacking", found=text, do="install gcc or clang, or name one with CC")
    do = "repair it, or unset CC; meanwhile give --mode eager"
    if library() is None:
        return Finding(about="compiler", state="broken", found=f"{found} makes nothing that can be loaded here", do=do)
    difference = _difference_in_c()
    if not difference < 1e-4:
        text = f"{found} makes convolutions that differ from PyTorch's by {difference:.2g}"
        return Finding(about="compiler", state="broken", found=text, do=do)
    text = f"{found}: convolutions run in C (mode native), as PyTorch's to {difference:.0e}"
    return Finding(about="compiler", state="ok", found=text)


def _difference_in_c() -> float:
    """The largest between estimates by the C functions and PyTorch's, as a part of the largest value."""
    import numpy as np
    import torch

    from srrepro import models
    from srrepro.evaluation.upscaler import Upscaler
    from srrepro.evaluation.weights import of_run
    from srrepro.hardware import PLAIN

    image = np.random.default_rng(0).random((37, 53), np.float32)
    differences = []
    for name in TRIED:
        torch.manual_seed(0)
        recipe = models.recipe(name)
        network = recipe.network(3)
        in_c, plain = (
            Upscaler(of_run(recipe, 3, 0, 1.0), network, 3, hardware).estimate(image)
            for hardware in (Hardware(precision="float32", mode="native"), PLAIN)
        )
        differences.append(np.abs(in_c - plain).max() / np.abs(plain).max())
    return float(np.max(differences))


def _device() -> Finding:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    settled = Hardware(device=device).settled(fastest_precision(device))
    bfloat16 = "multiplies bfloat16" if multiplies_bfloat16(device) else "no bfloat16 in hardware"
    text = (
        f"{machine(device)}; {torch.get_num_threads()} threads; {bfloat16}; "
        f"auto trains in {settled.precision}, mode {settled.mode}"
    )
    return Finding(about="device", state="ok", found=f"{device}, {text}")


def _memory() -> Finding:
    here = _kibibytes()
    if here is None:
        return Finding(about="memory", state="ok", found="not known on this system")
    total, free = here
    text = f"{total / 2**20:.1f} GiB, {free / 2**20:.1f} free"
    if free << 10 >= MEMORY:
        return Finding(about="memory", state="ok", found=text)
    do = f"give --memory {max(1, free >> 11)} to verbs that have it; {MEMORY >> 20} is what they take otherwise"
    return Finding(about="memory", state="lacking", found=text, do=do)


def _kibibytes() -> tuple[int, int] | None:
    """All memory, and what is free, of Linux."""
    try:
        lines = CPUINFO.with_name("meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    values = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest.split()}
    return values["MemTotal"], values["MemAvailable"]


def _weights() -> Iterator[Finding]:
    place = Path(str(files("srrepro"))) / "weights"
    with (place / "shipping.csv").open(encoding="utf-8") as text:
        wanted = {row["file"]: row["sha256"] for row in csv.DictReader(text)}
    damaged = [name for name, sha256 in wanted.items() if not _is_whole(place / name, sha256)]
    if damaged:
        text_of = f"damaged or not there: {', '.join(damaged)}"
        do = "install srrepro anew; in a clone: git checkout srrepro/weights"
        yield Finding(about="weights", state="broken", found=text_of, do=do)
    else:
        yield Finding(about="weights", state="ok", found=f"{len(wanted)} files ship, all whole (sha256)")


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False


def _folders(folder: DataFolder, results: Path) -> Iterator[Finding]:
    """Without the data folder hardly anything can be done; without the others, much."""
    places: dict[str, tuple[Path, State, str]] = {
        "data": (folder.root, "broken", "name another with --data"),
        "results": (results, "lacking", "name another with --results"),
        "compiled code": (
            cache_folder(), "lacking", "name another with XDG_CACHE_HOME; else every start compiles anew",
        ),
    }  # fmt: skip
    refused = {what: reason for what, (path, _, _) in places.items() if (reason := _why_not_written(path))}
    written = [f"{path} ({what})" for what, (path, _, _) in places.items() if what not in refused]
    if written:
        yield Finding(about="folders", state="ok", found=f"may be written: {', '.join(written)}")
    for what, reason in refused.items():
        path, state, do = places[what]
        yield Finding(about="folders", state=state, found=f"{path} ({what}) may not be written: {reason}", do=do)


def _why_not_written(path: Path) -> str | None:
    """None where there is such a folder to write in, or one can be made; it is tried, and leaves nothing."""
    try:
        there = next(place for place in (path, *path.absolute().parents) if place.exists())
        with TemporaryDirectory(dir=there, prefix=".srrepro-"):
            return None
    except OSError as error:
        return f"{error.strerror or error}"


def _extras() -> Iterator[Finding]:
    for extra, (modules, gives) in EXTRAS.items():
        lacking = [name for name in modules if find_spec(name) is None]
        if lacking:
            text = f"{', '.join(lacking)} not installed, for {gives}"
            yield Finding(about=extra, state="lacking", found=text, do=f'pip install "srrepro[{extra}]"')
        else:
            yield Finding(about=extra, state="ok", found=f"{', '.join(modules)}, for {gives}")


def _sets(folder: DataFolder) -> Iterator[Finding]:
    data = "" if folder.root == Path("datasets") else f" --data {folder.root}"
    mirror = "" if folder.mirror is None else f" --mirror {folder.mirror}"
    for name in sets():
        if name.startswith("goldens"):  # for the tests only
            continue
        wanted = members(name)
        lacking = [file for file in wanted if not is_present(folder, file)]
        if not lacking:
            yield Finding(about=f"set {name}", state="ok", found=f"{len(wanted)}")
            continue
        found = f"{len(wanted) - len(lacking)} of {len(wanted)}"
        if folder.mirror is not None and not all(may_be_copied(folder.mirror, file) for file in lacking):
            found += ", not in the mirror"
        do = f"srrepro prepare {name}{data}{mirror}"
        yield Finding(about=f"set {name}", state="lacking", found=found, do=do)
