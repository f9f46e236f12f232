"""What `explain` found, as text of 80 columns: a table, the nearest first, and what it means."""

import textwrap
from collections.abc import Sequence

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation.explain import Finding, told, told_of_ssim
from srrepro.evaluation.explain_pictures import Examined
from srrepro.evaluation.explain_pictures import told as told_of_pictures
from srrepro.evaluation.explain_published import Under, under_all
from srrepro.evaluation.measure import TestSet
from srrepro.evaluation.upscaler import load
from srrepro.hardware import Hardware
from srrepro.reporting.published import Published
from srrepro.reporting.published import published as all_published
from srrepro.reporting.tabulated import tabulated

COLUMNS = 80
LONGEST = 44
COMBINATIONS = 5
"""Shown, of those that are nearest; alone, practices are shown all."""


def of_network(found: Sequence[Finding], reported_db: float | None, reported_ssim: float | None) -> str:
    """The practices alone and the nearest combinations, by their distance from what was reported."""
    alone = [one for one in found if one.practice.parts == 1]
    more: list[Finding] = []
    if reported_db is not None:
        together = [one for one in found if one.practice.parts > 1]
        more = sorted(together, key=lambda one: abs(one.psnr_db - reported_db))[:COMBINATIONS]
    parts = [_table([*alone, *more], reported_db)]
    if reported_db is not None or reported_ssim is None:
        parts.append(_wrapped(told(found, reported_db)))
    if reported_ssim is not None:
        parts.append(_wrapped(told_of_ssim(alone, reported_ssim)))
    return "\n\n".join(parts)


def of_pictures(examined: Examined, reported_db: float | None, reported_ssim: float | None, network: str | None) -> str:
    """How the pictures score as they are, by other ways of measuring, and after each fault is undone."""
    right = examined.score
    parts = [_table([right, *examined.practices], reported_db)]
    undone = [(one.name, f"{db:.3f}", f"{db - right.psnr_db:+.3f}") for one, db in examined.undone[:5]]
    parts.append(_simple(undone, ("the pictures, if this is undone", "PSNR, dB", "gain")))
    if examined.made_by:
        rows = [(practice.name, f"{db:.1f}") for practice, db in examined.made_by[:5]]
        parts.append(_simple(rows, (f"the pictures beside {network}, and its", "PSNR, dB")))
    parts += map(_wrapped, told_of_pictures(examined, reported_db, network))
    if reported_ssim is not None:
        parts.append(_wrapped(told_of_ssim([right, *examined.practices], reported_ssim)))
    return "\n\n".join(parts)


def published(model: str, dataset: str, scale: str, *, folder: DataFolder, hardware: Hardware) -> str:
    """A printed value beside what the authors' weights give under every named protocol.

    Raises
    ------
    InputError : nothing is printed for it, or there are no weights to try.
    """
    printed, name = _printed(model, dataset, scale)
    network = load(name, printed.scale, folder=folder, hardware=hardware)
    photographs = list(TestSet.parse(printed.dataset).photographs(folder))
    found = under_all(network, photographs, count=len(photographs))
    found.sort(key=lambda one: abs(one.psnr_db - printed.psnr_db))
    giving = [one for one in found if one.gives(printed.psnr_db, printed.ssim, printed.ssim_within)]
    rows = [
        (
            one.protocol.name,
            f"{one.psnr_db:.3f}",
            f"{one.ssim:.4f}",
            f"{one.psnr_db - printed.psnr_db:+.3f}",
            "yes" if one in giving else "",
        )
        for one in found
    ]
    ssim = "" if printed.ssim is None else f" / {printed.ssim:g}"
    title = (
        f"{printed.model}, {printed.dataset} x{printed.scale}: printed {printed.psnr_db:.2f}{ssim}, {printed.source}"
    )
    table = _simple(rows, ("protocol", "PSNR, dB", "SSIM", "off", "gives the digits"))
    return f"{_wrapped(title)}\n\n{table}\n\n{_told_of(printed, found, giving, name)}"


def _told_of(printed: Published, under: Sequence[Under], giving: Sequence[Under], name: str) -> str:
    if giving:
        found = [f"{one.protocol.name} gives the printed digits:\n  {one.protocol.signature}" for one in giving]
        return "\n".join(found)
    nearest = under[0]
    return _wrapped(
        f"No protocol that is known here gives the printed digits with {name}; the nearest is {nearest.protocol.name}, "
        f"{nearest.psnr_db - printed.psnr_db:+.3f} dB. {printed.note}"
    )


def _printed(model: str, dataset: str, scale: str) -> tuple[Published, str]:
    """A printed value, and the weights to try it with."""
    values = list(all_published().values())
    same = [value for value in values if value.model.lower() == model.lower()]
    if not same:
        known = ", ".join(dict.fromkeys(value.model for value in values))
        msg = f"A printed value of {model} was to be explained, but none is known here. Known are those of: {known}."
        raise InputError(msg)
    where = dataset.lower(), scale.strip("x×")
    found = [value for value in same if (value.dataset.lower(), str(value.scale)) == where]
    if not found:
        there = ", ".join(dict.fromkeys(f"{value.dataset} {value.scale}" for value in same))
        msg = f"{same[0].model} on {dataset} at x{where[1]} was to be explained, but only these are printed: {there}."
        raise InputError(msg)
    for value in found:
        for name in _weights_of(value):
            return value, name
    msg = (
        f"{found[0].model} on {found[0].dataset} at x{found[0].scale} is printed as {found[0].psnr_db:.2f} dB, but its "
        "authors released no weights that it could be tried with."
    )
    raise InputError(msg)


def _weights_of(printed: Published) -> list[str]:
    if printed.model in models.recipes():  # bicubic
        return [printed.model]
    whose = printed.model, printed.training_set, printed.setting
    return [
        weights.name
        for weights in models.authors().values()
        if (weights.model, weights.training_set, weights.setting or "") == whose and printed.scale in weights.files
    ]


def _table(found: Sequence[Finding], reported_db: float | None) -> str:
    first, *others = found
    if reported_db is not None:
        others = sorted(others, key=lambda one: abs(one.psnr_db - reported_db))
    beside = first.psnr_db if reported_db is None else reported_db
    rows = [
        (
            "\n".join(textwrap.wrap(one.practice.name, LONGEST, subsequent_indent="  ")),
            f"{one.psnr_db:.3f}",
            "" if one.ssim is None else f"{one.ssim:.4f}",
            f"{one.psnr_db - beside:+.3f}",
        )
        for one in (first, *others)
    ]
    order = "" if reported_db is None else "\nthe nearest first; the first row is the right one"
    return _simple(rows, ("practice", "PSNR, dB", "SSIM", "off" if reported_db is None else "off reported")) + order


def _simple(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    aligned = ("left", *("right" for _ in heads[1:]))
    return tabulated(rows, heads, align=aligned)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, COLUMNS, break_on_hyphens=False))
