"""What all tests share: no network, no settings of the caller's, and made-up data sets in place of the real ones."""

import hashlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from srrepro.data.registry import DataFolder

# Before torch is loaded: its threads wait for each other by spinning, which costs more than it gains on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before the first test is collected: what is compiled is kept for the session only.
_CACHE = tempfile.TemporaryDirectory(prefix="srrepro-tests-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name

MIRROR = os.environ.get("SRREPRO_MIRROR")
"""Kept before the tests, which must not see it, take it out of the environment."""
_LOCAL = {"127.0.0.1", "::1", "localhost", "", None}

# The same examples in every run: a failure is found again, and nothing is written beside the clone.
hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder with the real data sets; tests that need it are skipped without it."""
    if not MIRROR:
        pytest.skip("SRREPRO_MIRROR is not set: the real data sets are not at hand")
    return Path(MIRROR)


@pytest.fixture
def cuda() -> str:
    """The name of a GPU; tests that need one are skipped without it."""
    import torch  # here: after the variables above

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is at hand")
    return "cuda"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and no settings from the caller's environment.

    `pytest.fail` is no Exception: code under test that turns every error into its own message cannot hide it.
    """
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def connect_locally(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in _LOCAL:
            pytest.fail(f"a test tried to connect to {address}")
        return connect(self, address)

    def resolve_locally(host: str | None, *rest: object, **named: object) -> list[tuple[object, ...]]:
        if host not in _LOCAL:
            pytest.fail(f"a test tried to look up {host}")
        return getaddrinfo(host, *rest, **named)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)
    monkeypatch.setattr(socket, "getaddrinfo", resolve_locally)
    for name in ("SRREPRO_DATA", "SRREPRO_MIRROR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No checks of annotations, as in a user's installation: the errors that follow are srrepro's own."""
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., "DataFolder"]]:
    """Replace the registry by made-up sets `{set: {file name: pixels or bytes}}`, and mirror their files.

    Returns the data folder, still empty, with that mirror.
    """
    # Not at the top: srrepro must not be loaded before pytest has prepared the checks of its annotations.
    from srrepro.data import registry

    def pretend(made_up: Mapping[str, Mapping[str, np.ndarray | bytes]]) -> registry.DataFolder:
        mirror, rows = tmp_path / "mirror", []
        for name, files in made_up.items():
            for file, content in files.items():
                path = mirror / name / file
                path.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    path.write_bytes(content)
                else:
                    Image.fromarray(content).save(path)
                data = path.read_bytes()
                rows.append(
                    registry.File(
                        sets=(name,),
                        name=file,
                        url=f"https://example.org/{name}/{file}",
                        sha256=hashlib.sha256(data).hexdigest(),
                        bytes=len(data),
                    )
                )
        monkeypatch.setattr(registry, "registry", lambda: tuple(rows))
        registry.sets.cache_clear()
        return registry.DataFolder(tmp_path / "data", mirror)

    yield pretend
    registry.sets.cache_clear()
