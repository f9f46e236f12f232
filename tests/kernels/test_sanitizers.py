"""The functions in C under AddressSanitizer and UndefinedBehaviorSanitizer, in a process of their own.

The sanitizing compiler is a script that CC names, so nothing in srrepro knows of it. It gives its options last: -O3
with sanitizers takes half a minute to compile, and the checks are the same.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "srrepro"
OPTIONS = "-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined"
DRAWN = "tests/kernels/drawn.py"


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a process in which compiled code is checked."""
    place = tmp_path_factory.mktemp("sanitized")
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc, whose sanitizers these tests use")
    runtimes = [_library(name) for name in ("libasan.so", "libstdc++.so")]  # the second, or exceptions are not followed
    if not os.path.isabs(runtimes[0]):  # gcc answers with the bare name where it has none
        pytest.skip("gcc has no libasan here")
    compiler = place / "sanitizing-gcc"
    compiler.write_text(f'#!/bin/sh\nexec gcc "$@" {OPTIONS}\n')
    compiler.chmod(0o755)
    return os.environ | {
        "CC": str(compiler),
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",  # Python keeps much until its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "XDG_CACHE_HOME": str(place / "cache"),
        "OMP_NUM_THREADS": "1",
    }


def _library(name: str) -> str:
    return subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()


Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def python(sanitized: Mapping[str, str]) -> Python:
    def run(*words: str, package: Path = PACKAGE) -> subprocess.CompletedProcess[str]:
        environment = sanitized | {"PYTHONPATH": str(package.parent)}
        return subprocess.run(
            [sys.executable, *words], cwd=TESTS.parent, env=environment, capture_output=True, text=True
        )

    return run


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_drawn_shapes(python: Python) -> None:
    done = python(DRAWN, "300")
    assert (done.returncode, done.stderr) == (0, "")
    assert {words.split()[1] for words in done.stdout.split(", ")} == {"layers", "chains", "tiles", "bands", "resizing"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_tests_of_the_functions(python: Python) -> None:
    files = ("test_bands.py", "test_convolution.py", "test_chain.py")
    done = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=600",
        *(f"tests/kernels/{name}" for name in files), "tests/pixels/test_resize.py",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


FAULTS = {
    "a tile that ends one column beyond the image": (
        "kernels/convolution.c", "x + side <= width)", "x + side <= width + 1)", "heap-buffer-overflow",
    ),
    "a row of weights too many": (
        "kernels/convolution.c", "for (size i = 0; i < kernel; i++) {\n            const float *a",
        "for (size i = 0; i <= kernel; i++) {\n            const float *a", "heap-buffer-overflow",
    ),
    "room for one band's buffer of two": (
        "kernels/convolution.c", "return 2 * r.bordered + r.gradient", "return r.bordered + r.gradient",
        "heap-buffer-overflow",
    ),
    "vectors that must be aligned": (
        "kernels/convolution.c", "aligned(4), may_alias", "may_alias", "misaligned address",
    ),
    "a band of columns that are not there": (
        "pixels/resize.c", "least(LANES, width - left)", "LANES", "heap-buffer-overflow",
    ),
    "room for a tile too few": (
        "kernels/convolution.c", "POINTS * (TILES * (planes + filters) + 32 + most)",
        "POINTS * (TILES * (planes + filters) + 32)", "heap-buffer-overflow",
    ),
    "a chain's room without its border": (
        "kernels/convolution.c", "wider = 2 * (l->kernel - 1);", "wider = 0;", "heap-buffer-overflow",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, python: Python, tmp_path: Path) -> None:
    file, here, planted, found = FAULTS[fault]
    copy = tmp_path / "srrepro"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    source = (copy / file).read_text(encoding="utf-8")
    assert here in source
    (copy / file).write_text(source.replace(here, planted), encoding="utf-8")
    done = python(DRAWN, "30", package=copy)
    assert done.returncode != 0
    assert found in done.stderr
