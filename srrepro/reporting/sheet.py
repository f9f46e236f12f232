"""`srrepro show`: a recipe's every number beside the source that its paper's file gives for it.

The sources are the comments `# paper:`, `# code:` and `# ours:` of the file itself, so there is one place to keep them.
"""

import ast
import inspect
import io
import tokenize
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from srrepro.models import papers
from srrepro.models.recipe import Recipe, described

MARKS = ("paper:", "code:", "ours:")
Sources = dict[str, str]


def sheet(recipe: Recipe) -> list[tuple[str, str, str]]:
    """Field, value and source of everything in a recipe; a field without a source has an empty one."""
    module = next(module for module in papers().values() if recipe in getattr(module, "RECIPES", ()))
    sources = _Reader(module).sources_of(recipe)
    return [(path, value, _source(sources, path)) for path, value in _flat(described(recipe), "")]


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if path:
            yield path, value["kind"]
        for name, part in value.items():
            if name != "kind":
                yield from _flat(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield path, ", ".join(map(str, value))
    else:
        yield path, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _source(sources: Sources, path: str) -> str:
    """Its own, or that of the object it belongs to."""
    while path:
        if path in sources:
            return sources[path]
        path = path.rpartition(".")[0]
    return ""


class _Reader:
    """Follows a recipe through the assignments of its file, and through `replace`, to the comment of each field."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        text = inspect.getsource(module)
        self.comments = {
            token.start[0]: token.string.lstrip("# ")
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT and token.string.lstrip("# ").startswith(MARKS)
        }
        body = ast.parse(text).body
        self.values = {
            node.targets[0].id: node.value
            for node in body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        self.classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}

    def sources_of(self, recipe: Recipe) -> Sources:
        name = next(name for name in self.values if getattr(self.module, name) is recipe)
        return self._read(self.values[name])

    def _read(self, node: ast.expr) -> Sources:
        if isinstance(node, ast.Name) and node.id in self.values:
            return self._read(self.values[node.id])
        if isinstance(node, ast.Attribute):  # SOME_RECIPE.network
            prefix = f"{node.attr}."
            inner = self._read(node.value)
            return {path.removeprefix(prefix): source for path, source in inner.items() if path.startswith(prefix)}
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return {}
        found = self._read(node.args[0]) if node.func.id == "replace" else self._defaults(node.func.id)
        for keyword in node.keywords:
            path = str(keyword.arg)
            found = {old: source for old, source in found.items() if old != path and not old.startswith(f"{path}.")}
            comment = self.comments.get(keyword.value.end_lineno or 0) or self.comments.get(keyword.lineno)
            if comment and not self._belongs_inside(keyword):
                found[path] = comment
            found |= {f"{path}.{inner}": source for inner, source in self._read(keyword.value).items()}
        return found

    def _belongs_inside(self, keyword: ast.keyword) -> bool:
        """A comment on the first or last line of a longer value speaks of the part on that line, not of the whole."""
        several_lines = keyword.lineno != keyword.value.end_lineno
        return several_lines and isinstance(keyword.value, ast.Call) and self.comments.get(keyword.lineno) is None

    def _defaults(self, name: str) -> Sources:
        node = self.classes.get(name)
        fields = [part for part in node.body if isinstance(part, ast.AnnAssign)] if node else []
        return {
            part.target.id: self.comments[part.lineno]
            for part in fields
            if isinstance(part.target, ast.Name) and part.lineno in self.comments
        }
