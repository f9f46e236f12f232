"""Feeds the readers of strangers' files with inputs that a fuzzer makes, guided by which lines of the code they reach.

    pip install atheris   (into an environment that has srrepro)
    python tests/fuzz/fuzz.py caffemodel --inputs 200000      one target; without a name, all of them, 20,000 each

The fuzzer is libFuzzer, by atheris. It sees lines of Python (srrepro, and tifffile where that reads), not of C: HDF5,
Pillow and PyTorch are fed all the same, but blindly. A finding is what no reader may do: raise another exception than
it documents, end the process, take more than 500 MB or more than 3 seconds of the processor, or give another size than
the file declares. Findings go to --findings DIR, a file each, named by what happened. With --record, a row a target is
appended to `outcome.csv` beside this file. The same seed repeats a run, as far as C code allows.

`python tests/fuzz/fuzz.py caffemodel --file INPUT` gives one input to a target, and shows what it raises.
"""

import argparse
import csv
import io
import json
import mmap
import os
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECONDS, MEGABYTES = 3.0, 500
MEMORY = Path("/dev/shm")
"""Where files are written to no disk: every input is one."""
OUTCOME = HERE / "outcome.csv"
COLUMNS = ("target", "inputs", "seconds", "findings", "seed", "commit")

Read = Callable[[bytes, Path], None]
"""Gives an input to a reader, by way of a folder."""


@dataclass(frozen=True)
class Target:
    """A reader: what is given to it at first, and what `feed` makes of what the fuzzer made of that."""

    feed: Read
    seeds: Callable[[], list[bytes]]
    longest: int = 4096
    as_json: bool = False
    """Inputs are JSON before the first zero byte: values are exchanged for strange ones, beside bytes."""


def target_of(name: str) -> Target:
    """One target; the readers are imported here, so that the fuzzer sees their lines."""
    made: dict[str, Callable[[], Target]] = {
        "caffemodel": caffemodel,
        "mat5": mat5,
        "mat73": mat73,
        "pth": pth,
        "safetensors": tensors,
        "npy": npy,
        "checkpoint": saved,
        "evidence": evidence,
        "tiff": tiff,
        "png": png,
        "pictures": pictures,
        "names": names,
    }
    return made[name]()


NAMES = (
    *("caffemodel", "mat5", "mat73", "pth", "safetensors", "npy", "checkpoint", "evidence"),
    *("tiff", "png", "pictures", "names"),
)


class WrongResult(Exception):  # noqa: N818
    """A reader gave something else than the file declares."""


def caffemodel() -> Target:
    from srrepro.evaluation.caffemodel import read_caffemodel

    def feed(data: bytes, folder: Path) -> None:
        path = _put(folder / "a.caffemodel", data)
        try:
            arrays = read_caffemodel(path)
        except ValueError:
            return
        if sum(array.nbytes for array in arrays.values()) > len(data):
            raise WrongResult

    def seeds() -> list[bytes]:
        blob = _field(7, _field(5, b"\0\0\x80?" * 6) + _field(7, _field(1, bytes([2, 3]))))
        layer = _field(100, _field(1, b"conv1") + _field(2, b"Convolution") + blob + blob)
        return [_field(1, b"IDN") + layer, layer, _field(100, b"\x50\1")]

    return Target(feed, seeds)


def _field(number: int, content: bytes) -> bytes:
    key = number << 3 | 2
    return bytes([key & 127 | 128, key >> 7] if key > 127 else [key]) + bytes([len(content)]) + content


def mat5() -> Target:
    import numpy as np
    import scipy.io

    from srrepro.errors import InputError
    from srrepro.evaluation.arrays import read_arrays

    def feed(data: bytes, folder: Path) -> None:
        path = _put(folder / "a.mat", data)
        try:
            read_arrays(path)
        except InputError:
            return

    def seeds() -> list[bytes]:
        cell = np.empty((1, 2), object)
        cell[0, 0], cell[0, 1] = np.ones((2, 2)), "name"
        values = {
            "weights": {"w": np.ones((3, 2), np.float32), "model": {"weight": cell}},
            "cell": {"c": cell, "s": np.array([(1, "x")], [("a", object), ("b", object)])},
            "text": {
                "t": "words",
                "i": np.arange(4, dtype=np.int16),
                "l": np.array([True, False]),
                "z": np.ones(2) * 1j,
            },
        }
        files = []
        for content in values.values():
            for squeezed in (False, True):
                stream = io.BytesIO()
                scipy.io.savemat(stream, content, do_compression=squeezed)
                files.append(stream.getvalue())
        return files

    return Target(feed, seeds)


def mat73() -> Target:
    import h5py
    import numpy as np

    from srrepro.errors import InputError
    from srrepro.evaluation.arrays import read_arrays

    header = b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(124) + b"\0\2IM"

    def feed(data: bytes, folder: Path) -> None:  # the userblock is always the same, and no matter of the fuzzer
        path = _put(folder / "a.mat", header.ljust(512, b"\0") + data)
        try:
            read_arrays(path)
        except InputError:
            return

    def seeds() -> list[bytes]:
        def put(group: h5py.Group, name: str, values: object, kind: str, **how: object) -> h5py.Dataset:
            dataset = group.create_dataset(name, data=values, **how)
            dataset.attrs["MATLAB_class"] = np.bytes_(kind)
            return dataset

        def plain(file: h5py.File) -> None:
            put(file, "w", np.ones((3, 2)), "double")
            put(file, "t", np.array([[99]], np.uint16), "char")

        def packed(file: h5py.File) -> None:
            put(file, "w", np.ones((8, 8)), "double", chunks=(4, 4), compression="gzip", shuffle=True)

        def cells(file: h5py.File) -> None:
            one = put(file, "#refs#/0", np.ones(2), "double")
            put(file.create_group("net"), "layers", np.array([[one.ref]], h5py.ref_dtype), "cell")

        files = []
        for fill in (plain, packed, cells):
            stream = io.BytesIO()
            with h5py.File(stream, "w", userblock_size=512) as file:
                fill(file)
            files.append(stream.getvalue()[512:])
        return files

    return Target(feed, seeds, longest=8192)


def pth() -> Target:
    """The pickle in PyTorch's archive; the archive around it is as it should be."""
    import torch

    from srrepro.errors import InputError
    from srrepro.evaluation.arrays import read_tensors

    def feed(data: bytes, folder: Path) -> None:
        path = folder / "a.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", data)
            archive.writestr("a/version", b"3\n")
            archive.writestr("a/byteorder", b"little")
            for number in range(3):
                archive.writestr(f"a/data/{number}", bytes(24))
        try:
            found = read_tensors(path)
        except InputError:
            return
        if sum(each.numel() * each.element_size() for each in found.values()) > 3 * 24 * len(data):
            raise WrongResult

    def seeds() -> list[bytes]:
        files = []
        for content in ({"a.weight": torch.ones(2, 3)}, {"state_dict": {"a": torch.ones(6)}, "epoch": 3}):
            stream = io.BytesIO()
            torch.save(content, stream)
            archive = zipfile.ZipFile(stream)
            files.append(archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl"))))
        return files

    return Target(feed, seeds, longest=2048)


def tensors() -> Target:
    """The header of a .safetensors file, which is JSON; 48 bytes of numbers follow it."""
    from srrepro.errors import InputError
    from srrepro.evaluation.foreign import read_foreign
    from srrepro.evaluation.weights import is_ours, read_ours

    def feed(data: bytes, folder: Path) -> None:
        path = _put(folder / "a.safetensors", struct.pack("<Q", len(data)) + data + bytes(48))
        try:
            read_ours(path, 3) if is_ours(path) else read_foreign(path, 3, "srcnn-915")
        except InputError:
            return

    def seeds() -> list[bytes]:
        one = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
        two = {"dtype": "F32", "shape": [6], "data_offsets": [24, 48]}
        run = {"recipe": "srcnn-915", "scale": 3, "seed": 0, "budget": 1.0}
        about = {"srrepro_run": json.dumps(run)}
        headers = {"a": one, "b": two}, {"__metadata__": about, "a": one, "b": two}
        return [json.dumps(header).encode() for header in headers]

    return Target(feed, seeds, as_json=True)


def npy() -> Target:
    import numpy as np

    from srrepro.errors import InputError
    from srrepro.evaluation.score import read_array

    def feed(data: bytes, folder: Path) -> None:
        path = _put(folder / "a.npy", data)
        try:
            found = read_array(path)
        except InputError:
            return
        if found.size > len(data):
            raise WrongResult

    def seeds() -> list[bytes]:
        files = []
        for array in (np.ones((2, 3)), np.ones((1, 3, 4, 4), np.float32), np.ones((4, 4, 3), np.uint8)):
            stream = io.BytesIO()
            np.save(stream, array)
            files.append(stream.getvalue())
        stream = io.BytesIO()
        np.savez(stream, a=np.ones(2))
        return [*files, stream.getvalue()]

    return Target(feed, seeds, longest=1024)


def saved() -> Target:
    """A checkpoint: JSON in one entry of the metadata, beside tensors that are as they should be."""
    import torch
    from safetensors.torch import save

    from srrepro.data.registry import DataFolder
    from srrepro.errors import InputError
    from srrepro.jobs import importing
    from srrepro.jobs.job import Workspace
    from srrepro.reporting.curves import read as curve
    from srrepro.reporting.unfinished import unfinished
    from srrepro.training import carry

    floats = {"network.a": torch.ones(2, 3), "network.b": torch.ones(6)}

    def feed(data: bytes, folder: Path) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return
        path = _put(folder / "a.safetensors", save(floats, {"srrepro_checkpoint": text}))
        for read in (lambda: carry.read(path, None), lambda: unfinished(folder), lambda: curve(str(path), folder)):
            try:
                read()
            except InputError:
                continue
        try:  # a folder without data sets, and a mirror without any: it ends before anything is trained
            importing.read(path, Workspace(DataFolder(folder / "data", folder), folder / "results"))
        except InputError:
            return

    def seeds() -> list[bytes]:
        made_with = {"device": "cpu", "mode": "eager", "machine": "m", "threads": 2, "commit": "c", "versions": {}}
        stretch = {"id": "a", "begun_at": 0, "steps": 2, "backprops": 64, "seconds": 1.5, "made_with": made_with}
        row = {"backprops": 64, "step": 2, "Set5_psnr_db": 30.0, "loss": 0.5, "seconds": 1.5}
        values = {
            "run": "srcnn-915_x3_s0_abc",
            "about": {"recipe": "srcnn-915", "scale": 3, "seed": 0, "budget": 1.0, "precision": "float32"},
            "state": {"step": 2, "seconds": 1.5, "loss_sum": 0.5, "log": [row], "stretches": [stretch]},
            "network": {"a": {"$tensor": "network.a", "stride": [1, 2]}, "b": {"$tensor": "network.b"}},
        }
        return [json.dumps({"format": 1, "values": values}).encode()]

    return Target(feed, seeds, as_json=True)


def evidence() -> Target:
    """A run folder, run.json, scores.csv and log.csv with a zero byte between; and all that is made of it."""
    from srrepro.errors import InputError
    from srrepro.reporting import papers, site
    from srrepro.reporting.curves import curve, log_of
    from srrepro.reporting.evidence import read
    from srrepro.reporting.reached import reached
    from srrepro.reporting.tables import quality, readme_table, tables, terminal_table
    from srrepro.reporting.tabulated import as_csv

    def feed(data: bytes, folder: Path) -> None:
        parts = data.split(b"\0", 2)
        for name, part in zip(("run.json", "scores.csv", "log.csv"), parts, strict=False):
            _put(folder / name, part)
        try:
            run = read(folder)
            frame = quality([run])
            pages = [tables(frame), readme_table(frame)]
            texts = [*pages, as_csv(frame), as_csv(reached([run])), terminal_table(frame)]
            site._lines(frame)
            site._source(run)
            curve(log_of(run), "Set5", 3, "seconds")
            papers.as_text(papers.TABLES[0], frame, "latex")
        except InputError:
            return
        if any("\x1b" in text for text in texts) or any("<script" in page for page in pages):
            raise WrongResult

    def seeds() -> list[bytes]:
        subject = {"name": "srcnn-915", "model": "SRCNN 9-1-5", "origin": "trained", "training_set": "T91", "scale": 3}
        subject |= {"seed": 0, "budget": 1.0, "of_the_paper": True, "note": "", "setting": ""}
        about = {"subject": subject, "device": "cpu", "machine": "m", "threads": 2, "precision": "float32"}
        about["stretches"] = [{"backprops": 64, "seconds": 1.0, "machine": "m", "mode": "eager", "threads": 2}]
        about["recipe"] = {"training": {"protocol": None}}
        scores = "dataset,scale,image,protocol,metric,value\n" + "".join(
            f"Set5,3,baby.bmp,matlab-y-v1,{metric},{value}\n"
            for metric, value in (("psnr_db", 32), ("ssim", 0.9), ("bicubic_psnr_db", 30), ("bicubic_ssim", 0.8))
        )
        log = "backprops,step,loss,Set5_psnr_db,seconds\n64,2,0.5,32.5,1.5\n"
        return [b"\0".join([json.dumps(about).encode(), scores.encode(), log.encode()])]

    return Target(feed, seeds, as_json=True)


def _read_picture(path: Path) -> None:
    """By the header and by the pixels: sizes must agree."""
    from srrepro.errors import InputError
    from srrepro.pixels import decoding, images, picture

    try:
        found = decoding.look(path)
        if found.width * found.height > 1 << 24:
            return  # what is declared is bounded by a rule of its own, and is tested; here it would only take time
        size = picture.read(path).size
        eight = images.read(path)
    except InputError:
        return
    if size != (found.width, found.height) or sorted(eight.shape[:2]) != sorted(size):
        raise WrongResult


def tiff() -> Target:
    import numpy as np
    import tifffile

    def feed(data: bytes, folder: Path) -> None:
        _read_picture(_put(folder / "a.tif", data))

    def seeds() -> list[bytes]:
        files = []
        grey, rgb = np.ones((4, 5), np.uint16), np.ones((4, 5, 3), np.uint16)
        for array, how in (
            (grey, {}),
            (rgb, {"photometric": "rgb"}),
            (rgb.astype(np.uint8), {"photometric": "rgb", "byteorder": ">"}),
            (np.ones((3, 4, 5), np.uint16), {"photometric": "rgb", "planarconfig": "separate"}),
            (np.ones((4, 5, 4), np.uint16), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
            (grey, {"compression": "zlib", "bigtiff": True}),
            (np.ones((2, 4, 5), np.uint8), {}),
        ):
            stream = io.BytesIO()
            tifffile.imwrite(stream, array, metadata=None, iccprofile=b"x" * 20, **how)
            files.append(stream.getvalue())
        return files

    return Target(feed, seeds, longest=2048)


def png() -> Target:
    """PNG with checksums that are mended after every change."""
    import numpy as np
    from PIL import Image

    from srrepro.pixels.sixteen import write_png

    def feed(data: bytes, folder: Path) -> None:
        _read_picture(_put(folder / "a.png", _with_checksums(data)))

    def seeds() -> list[bytes]:
        files = []
        for array in (np.ones((4, 5), np.uint8), np.ones((4, 5, 3), np.uint8), np.ones((4, 5, 4), np.uint8)):
            stream = io.BytesIO()
            exif = Image.Exif()
            exif[274], exif[271] = 6, "words"
            Image.fromarray(array).save(stream, "PNG", exif=exif, icc_profile=b"x" * 24)
            files.append(stream.getvalue())
        stream = io.BytesIO()
        Image.fromarray(np.ones((4, 5), np.uint8)).convert("P").save(stream, "PNG", transparency=1)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.png"
            write_png(path, np.ones((4, 5, 3), np.uint16), profile=None, exif=b"")
            return [*files, stream.getvalue(), path.read_bytes()]

    return Target(feed, seeds, longest=1024)


def _with_checksums(data: bytes) -> bytes:
    made, at = bytearray(data), 8
    while at + 12 <= len(made):
        (length,) = struct.unpack_from(">I", made, at)
        end = at + 8 + length
        if end + 4 > len(made):
            break
        struct.pack_into(">I", made, end, zlib.crc32(made[at + 4 : end]))
        at = end + 4
    return bytes(made)


def pictures() -> Target:
    """JPEG, WebP, BMP and GIF: told apart by their first bytes, whatever the name says."""
    import numpy as np
    from PIL import Image

    def feed(data: bytes, folder: Path) -> None:
        _read_picture(_put(folder / "a.jpg", data))

    def seeds() -> list[bytes]:
        files = []
        image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
        exif = Image.Exif()
        exif[274], exif[271] = 6, "words"
        for kind, how in (("JPEG", {"exif": exif}), ("WEBP", {"exif": exif}), ("BMP", {}), ("GIF", {}), ("MPO", {})):
            stream = io.BytesIO()
            image.save(stream, kind, **how)
            files.append(stream.getvalue())
        return files

    return Target(feed, seeds, longest=2048)


def names() -> Target:
    """Names in messages, tables, CSV files and as partners of references."""
    from srrepro.errors import InputError
    from srrepro.pixels.naming import own_name, partners, scale_of

    def feed(data: bytes, folder: Path) -> None:
        text = data.decode("utf-8", "surrogateescape")
        first, _, second = text.partition("\0")
        own_name(first)
        scale_of(first)
        message = ""
        try:
            partners([f"{first}.png", "baby.png"], [Path(f"{second}.png"), Path(f"{first}_x3.png")], what=second)
        except InputError as error:
            message = str(error)
        if any(ord(letter) < 32 and letter != "\n" for letter in message):
            raise WrongResult
        message.encode()

    def seeds() -> list[bytes]:
        return [b"baby_x3\0baby_GT", b"img_001_SRF_3_HR\0\x1b[31mred", b"a|b\0=cmd|' /C calc'!A0", "\u202egpj".encode()]

    return Target(feed, seeds, longest=256)


def _put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


STRANGE = (
    *(None, True, -1, 0, 3, 2**31, 2**63, 10**30, 1e308, -0.5, float("nan"), float("inf"), "", "x", "3"),
    *("../../x", "/tmp/x", "a|b", "a\nb", "<script>", "=1+1", "\x1b[31m", "\u202e", "$x$", [], {}, [1], {"a": 1}, [[]]),
    {"$tensor": "network.a"},
)


def bent(text: str, by: random.Random) -> str:
    """JSON with a value exchanged, removed or moved; as it is where it is no JSON."""
    try:
        whole = json.loads(text)
    except ValueError:
        return text
    places: list[tuple[dict | list, object]] = []

    def walk(value: object) -> None:
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            places.append((value, key))  # type: ignore[arg-type]
            walk(value[key])  # type: ignore[index]

    walk(whole)
    if not places:
        return json.dumps(by.choice(STRANGE))
    for _ in range(by.choice((1, 1, 2, 4))):
        parent, key = by.choice(places)
        try:
            what = by.random()
            if what < 0.6:
                parent[key] = by.choice(STRANGE)  # type: ignore[index]
            elif what < 0.75:
                del parent[key]  # type: ignore[index]
            else:
                other, at = by.choice(places)
                parent[key] = other[at]  # type: ignore[index]
        except (KeyError, IndexError):
            continue
    try:
        return json.dumps(whole)
    except (ValueError, RecursionError):  # moved into itself
        return text


class Watch:
    """Feeds a target, and keeps every finding once: what was raised, and where."""

    def __init__(self, target: Target, folder: Path, findings: Path, counter: mmap.mmap) -> None:
        self.target, self.folder, self.findings, self.counter = target, folder, findings, counter

    def __call__(self, data: bytes) -> None:
        (done,) = struct.unpack_from("<Q", self.counter)
        before, start = _peak(), time.process_time()
        try:
            self.target.feed(data, self.folder)
        except Exception as error:
            self._keep(data, _where(error))
        if time.process_time() - start > SECONDS:
            self._keep(data, "slow")
        if _peak() - before > MEGABYTES:
            self._keep(data, "large")
        struct.pack_into("<Q", self.counter, 0, done + 1)

    def _keep(self, data: bytes, what: str) -> None:
        path = self.findings / re.sub(r"\W+", "-", what)
        if not path.exists():
            path.write_bytes(data)
            sys.stderr.write(f"finding: {path.name}\n")


def _peak() -> float:
    """Megabytes of memory, at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _where(error: Exception) -> str:
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "srrepro" in frame.filename]
    frame = ours[-1] if ours else traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {Path(frame.filename).stem} {frame.lineno}"


def fuzz(name: str, inputs: int, seed: int, findings: Path, counted: Path) -> None:
    """In a process of its own, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["srrepro", *(["tifffile"] if name == "tiff" else [])]):
        target = target_of(name)
    with counted.open("r+b") as file:
        counter = mmap.mmap(file.fileno(), 8)
    folder = Path(tempfile.mkdtemp(prefix="fuzzed-", dir=counted.parent))
    corpus = counted.parent / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, content in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(content)
    flags = [f"-runs={inputs}", f"-seed={seed}", f"-max_len={target.longest}", "-timeout=60", "-rss_limit_mb=4096"]
    flags += [f"-artifact_prefix={findings}/ended-", "-verbosity=0", str(corpus)]

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        by = random.Random(seed)
        if target.as_json and by.random() < 0.7:
            head, zero, rest = data.partition(b"\0")
            return (bent(head.decode(errors="replace"), by).encode(errors="replace") + zero + rest)[:most]
        return bytes(atheris.Mutate(data, most))

    atheris.Setup([sys.argv[0], *flags], Watch(target, folder, findings, counter), custom_mutator=mutated)
    atheris.Fuzz()


def run(name: str, inputs: int, seed: int, findings: Path) -> dict[str, object]:
    """All inputs of a target, in as many processes as it takes: one that ends early is a finding."""
    place = findings / name
    place.mkdir(parents=True, exist_ok=True)
    known = len(list(place.iterdir()))
    done, begun = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        counted = _put(Path(folder) / "count", bytes(8))
        while done < inputs:
            words = [name, "--inputs", str(inputs - done), "--seed", str(seed + done), "--findings", str(place)]
            told = subprocess.run(
                [sys.executable, __file__, *words, "--counted", str(counted)], stderr=subprocess.PIPE, text=True
            ).stderr
            (now,) = struct.unpack("<Q", counted.read_bytes())
            if now < inputs:
                _put(place / f"process-ended-{now}", told[-4000:].encode())
            if now == done:
                break
            done = now
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    found = len(list(place.iterdir())) - known
    seconds = round(time.monotonic() - begun)
    return dict(zip(COLUMNS, (name, done, seconds, found, seed, commit.strip()), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--record", action="store_true", help=f"append to {OUTCOME.name}")
    parser.add_argument("--file", type=Path, help="give this input to the target")
    parser.add_argument("--counted", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if given.counted is not None:
        fuzz(given.targets[0], given.inputs, given.seed, given.findings, given.counted)
        return
    if given.file is not None:
        with tempfile.TemporaryDirectory() as folder:
            target_of(given.targets[0]).feed(given.file.read_bytes(), Path(folder))
        return
    for name in given.targets or NAMES:
        row = run(name, given.inputs, given.seed, given.findings)
        print(*row.values(), sep=",", flush=True)  # noqa: T201
        if given.record:
            new = not OUTCOME.exists()
            with OUTCOME.open("a", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerows([COLUMNS, row.values()] if new else [row.values()])


if __name__ == "__main__":
    main()
