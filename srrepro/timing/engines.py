"""The engines that people deploy networks with, as contenders of `srrepro bench`, where they are installed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from srrepro.evaluation.export import NEEDED, as_onnx
from srrepro.evaluation.upscaler import Upscaler
from srrepro.hardware import multiplies_bfloat16

Turn = Callable[[], Float32[ndarray, "H W *c"]]
NAME = "image"


def engines(upscaler: Upscaler, image: Float32[ndarray, "h w *c"], threads: int) -> Iterator[tuple[str, str, Turn]]:
    """By name and precision, what takes the image through the same network: ONNX Runtime, OpenVINO.

    Both get the network as ONNX, this image's shape, and as many threads. OpenVINO computes in bfloat16, too, where the
    processor has instructions for that; ONNX Runtime has none on processors.
    """
    if any(find_spec(name) is None for name in NEEDED):
        return
    model = as_onnx(upscaler, NAME)
    planes = np.ascontiguousarray(np.moveaxis(np.atleast_3d(image), 2, 0)[None])
    yield "onnxruntime", "float32", _onnxruntime(model, planes, threads, image.ndim)
    if find_spec("openvino") is None:
        return
    yield "openvino", "float32", _openvino(model, planes, threads, image.ndim, "f32")
    if multiplies_bfloat16("cpu"):
        yield "openvino", "bfloat16", _openvino(model, planes, threads, image.ndim, "bf16")


def _onnxruntime(model: Any, planes: Float32[ndarray, "1 c h w"], threads: int, axes: int) -> Turn:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return lambda: _image(session.run(None, {NAME: planes})[0], axes)


def _openvino(model: Any, planes: Float32[ndarray, "1 c h w"], threads: int, axes: int, precision: str) -> Turn:
    """All of it in a thread of its own: OpenVINO gives its caller a stack for signals, and frees it with the network.

    The next Ctrl-C of that thread would end the process.
    """
    import openvino

    thread = ThreadPoolExecutor(1, thread_name_prefix="openvino")
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}

    def request() -> Any:
        core = openvino.Core()
        read = core.read_model(model.SerializeToString(), b"")
        read.reshape(list(planes.shape))
        return core.compile_model(read, "CPU", settings).create_infer_request()

    ready = thread.submit(request).result()
    return lambda: thread.submit(lambda: _image(ready.infer({0: planes})[0], axes)).result()


def _image(planes: Float32[ndarray, "1 c H W"], axes: int) -> Float32[ndarray, "H W *c"]:
    """As `Upscaler.estimate` gives it."""
    return np.array(planes[0, 0] if axes == 2 else np.moveaxis(planes[0], 0, 2), np.float32)
