"""The forking process, for all tests here: it takes seconds to start."""

import shutil
import sys
from collections.abc import Iterator

import pytest
from forks import Forks, forks


@pytest.fixture(scope="session")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("a disk that fails is made by a library for Linux, with a C compiler")
    with forks(tmp_path_factory.mktemp("forks")) as server:
        yield server
