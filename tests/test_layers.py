"""The layout keeps its promises: imports point one way, and no file is a drawer for everything."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import srrepro

PACKAGE = Path(srrepro.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
ORDER = (
    *("models pixels", "protocols", "claims data kernels", "hardware", "evaluation", "training", "reporting timing"),
    *("jobs", "options", "verbs", "cli", "__main__"),
)
"""From the ground up; what stands in one place may not import each other."""
ANYONE_MAY_IMPORT = ("aside", "errors", "plain", "progress", "compiling", "git", "whole")
WANT_THE_VERSION = {
    ("cli",),
    ("evaluation", "export"),
    ("jobs", "doctor"),
    ("reporting", "provenance"),
    ("timing", "turn"),
}
FACADE = "__init__"
"""`import srrepro` alone: it offers what upscaling needs, so only those may take it who want its version."""


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def module_of(path: Path) -> tuple[str, ...]:
    """`srrepro/pixels/resize.py` is ("data", "resize"); a folder's own file has the name of the folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts


def imported(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """The modules of srrepro that are imported anywhere in a file, in functions and for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""  # never relative: another test sees to that
            # `from srrepro import models` names modules; elsewhere it is the module before `import` that counts.
            names = [f"{origin}.{alias.name}" if is_folder(origin) else origin for alias in node.names]
        else:
            continue
        for name in names:
            top, *rest = name.split(".")
            if top == "srrepro":
                yield tuple(rest) or (FACADE,)


def is_folder(origin: str) -> bool:
    """Whether what is imported from here may be modules, not names."""
    return (PACKAGE.parent / origin.replace(".", "/")).is_dir()


def height(layer: str) -> int:
    return next(number for number, layers in enumerate(ORDER) if layer in layers.split())


def may_import(importer: tuple[str, ...], target: tuple[str, ...]) -> bool:
    if importer == (FACADE,):
        return target[0] in {"evaluation", "protocols"}
    if target == (FACADE,):
        return importer in WANT_THE_VERSION
    if target[0] in ANYONE_MAY_IMPORT:
        return True
    if importer[0] in ANYONE_MAY_IMPORT:
        return False
    return target[0] == importer[0] or height(target[0]) < height(importer[0])


def test_imports_point_one_way():
    for path in FILES:
        against = [".".join(target) for target in imported(parsed(path)) if not may_import(module_of(path), target)]
        assert not against, f"{named(path)} must not import {against}"


def test_a_paper_knows_only_the_shared_vocabulary():
    optimisers = {"_muon", "_soap"}
    for path in sorted((PACKAGE / "models").glob("*.py")):
        allowed = set() if path.stem in optimisers else optimisers if path.stem == "recipe" else {"recipe"}
        strange = [
            ".".join(target)
            for target in imported(parsed(path))
            if target[0] not in ANYONE_MAY_IMPORT and target[:2] not in {("models", name) for name in allowed}
        ]
        assert not strange, f"{named(path)} may import of models only {allowed}, not {strange}"


@pytest.mark.parametrize(
    ("line", "targets"),
    [
        ("from srrepro import git, models", [("git",), ("models",)]),
        ("from srrepro.pixels.resize import imresize", [("pixels", "resize")]),
        ("from srrepro.pixels import images", [("pixels", "images")]),
        ("import srrepro.training.loop as loop", [("training", "loop")]),
        ("import srrepro", [(FACADE,)]),
        ("def f():\n    from srrepro.cli import main", [("cli",)]),
        ("if TYPE_CHECKING:\n    from srrepro.jobs.suites import SUITES", [("jobs", "suites")]),
        ("import numpy\nfrom torch import nn\nimport srrepro_extras", []),
    ],
)
def test_imports_are_found_wherever_they_stand(line, targets):
    assert list(imported(ast.parse(line))) == targets


@pytest.mark.parametrize(
    ("importer", "target"),
    [
        ("models.vdsr", "pixels.resize"),
        ("data.stores", "evaluation.measure"),
        ("protocols.protocol", "data.stores"),
        ("evaluation.measure", "training.loop"),
        ("training.loop", "reporting.tables"),
        ("reporting.tables", "jobs.suites"),
        ("jobs.suites", "cli"),
        ("reporting.tables", "timing.speed"),
        ("timing.speed", "reporting.tables"),
        ("progress", "data.registry"),
        ("data.registry", "__init__"),
    ],
)
def test_a_step_back_is_against_the_rule(importer, target):
    assert not may_import(tuple(importer.split(".")), tuple(target.split(".")))


def test_every_file_has_its_place():
    layers = {layer for place in ORDER for layer in place.split()} | {*ANYONE_MAY_IMPORT, FACADE}
    assert {module_of(path)[0] for path in FILES} == layers


def test_relative_imports_are_not_used():
    # They would be read wrongly above, and nobody sees from them which layer is meant.
    for path in FILES:
        for node in ast.walk(parsed(path)):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{named(path)}, line {node.lineno}"


def test_no_file_is_called_by_a_name_that_says_nothing():
    empty = {"utils", "util", "common", "helpers", "helper", "base", "misc", "core"}
    for path in FILES:
        assert not empty & {part.strip("_") for part in path.relative_to(PACKAGE).with_suffix("").parts}


def test_no_function_swallows_options():
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and node.args.kwarg:
                pytest.fail(f"{named(path)}, line {node.lineno}: **{node.args.kwarg.arg}")


def test_a_long_file_explains_itself_in_its_first_line():
    for path in FILES:
        source = path.read_text(encoding="utf-8")
        if source.count("\n") > 300:
            assert ast.get_docstring(ast.parse(source)), named(path)
            assert source.startswith(('"""', "'''")), named(path)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_names_that_were_public_stay() -> None:
    from srrepro.data.color import luminance
    from srrepro.data.resize import imresize
    from srrepro.evaluation.metrics import psnr, ssim
    from srrepro.pixels import color, metrics, resize

    assert (imresize, luminance) == (resize.imresize, color.luminance)
    assert (psnr, ssim) == (metrics.psnr, metrics.ssim)
