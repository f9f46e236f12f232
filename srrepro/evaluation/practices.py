"""How people measure otherwise than a protocol says: what each way is, what it changes, and what to do instead.

`explain` measures under each of them, and under the combinations that people really have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

from srrepro.protocols.protocol import Protocol

Axis = Literal["", "colour", "image", "padding", "shave", "rounding", "errors", "ssim"]


@dataclass(frozen=True, kw_only=True)
class Practice:
    """One way of measuring.

    Parameters
    ----------
    name
        what is done, in a table.
    advice
        what to do instead.
    change
        fields of the protocol, with what stands there instead. A `shave` is added to the scale's if it is above 0.
    axis
        what it is about; of one axis there is one at a time.
    common
        whether it is met so often that it is tried together with others, too.
    zeros
        the network's layers are padded with zeros where it repeats the edge.
    against_interpolated
        the estimate is compared with the interpolated image instead of the reference.
    pooled
        one PSNR of the mean squared error of all images, instead of the mean of PSNRs.
    swapped
        red and blue are exchanged in the photograph.
    """

    name: str
    advice: str = ""
    change: Mapping[str, Any] = field(default_factory=dict)
    axis: Axis = ""
    common: bool = False
    zeros: bool = False
    against_interpolated: bool = False
    pooled: bool = False
    swapped: bool = False
    parts: int = 1

    def of(self, protocol: Protocol, scale: int) -> Protocol:
        """The protocol with what is changed; where its small image is RGB, small images of 8 bits are, too."""
        change = dict(self.change)
        if protocol.degradation.in_rgb:
            change |= {"low": "rgb8-rgb8"} if change.get("low") == "y8-y8" else {}
            if protocol.rounding.startswith("rgb8"):
                change.pop("rounding", None)
        if change.get("shave"):
            change["shave"] += scale
        return replace(protocol, **change)

    @property
    def needs_network(self) -> bool:
        """Whether it decides what the network is fed or does, not only how its estimate is judged."""
        return self.zeros or self.axis in {"image", "rounding"} or "clamp" in self.change


RIGHT = Practice(name="as the protocol says")
ALONE = (
    Practice(
        name="layers padded with zeros",
        advice="Repeat the edge before every layer: torch.nn.functional.pad(x, [r] * 4, mode='replicate').",
        axis="padding",
        zeros=True,
        common=True,
    ),
    Practice(
        name="PSNR of RGB",
        advice="Measure the luminance Y only; papers of the field do.",
        axis="colour",
        change={"colour": "rgb", "low": "rgb8", "rounding": "rgb8"},
        common=True,
    ),
    Practice(
        name="full-range Y throughout (OpenCV, Pillow)",
        advice="Use Y from 16 to 235, as MATLAB's rgb2ycbcr gives it; skimage.color.rgb2ycbcr does the same.",
        axis="colour",
        change={"colour": "full-u8"},
        common=True,
    ),
    Practice(
        name="grey of rgb2gray throughout",
        advice="Use Y from 16 to 235, as MATLAB's rgb2ycbcr gives it; skimage.color.rgb2ycbcr does the same.",
        axis="colour",
        change={"colour": "rec709-float"},
        common=True,
    ),
    Practice(
        name="full-range Y of the final RGB",
        advice="Take Y from 16 to 235 of the result, as MATLAB's rgb2ycbcr gives it.",
        axis="colour",
        change={"colour": "full-u8", "low": "rgb8", "rounding": "rgb8"},
    ),
    Practice(
        name="Y with 64.738 instead of 65.738",
        advice="The first coefficient of Y is 65.738 / 256 = 65.481 / 255; 64.738 is a slip that was copied.",
        axis="colour",
        change={"colour": "64738-float"},
    ),
    Practice(
        name="red and blue exchanged (OpenCV's BGR)",
        advice="OpenCV reads BGR. Convert: cv2.cvtColor(image, cv2.COLOR_BGR2RGB).",
        axis="colour",
        swapped=True,
    ),
    Practice(
        name="small image without antialiasing",
        advice="Shrink with antialiasing, as MATLAB's imresize does; srrepro.pixels.resize.imresize is the same.",
        axis="image",
        change={"resizer": "matlab-no-antialias"},
        common=True,
    ),
    Practice(
        name="PyTorch's interpolate, default",
        advice="Use MATLAB's imresize (a = -0.5, antialiased): srrepro.pixels.resize.imresize.",
        axis="image",
        change={"resizer": "pytorch"},
        common=True,
    ),
    Practice(
        name="OpenCV's INTER_CUBIC in 8 bits",
        advice="Use MATLAB's imresize (a = -0.5, antialiased) in floats: srrepro.pixels.resize.imresize.",
        axis="image",
        change={"resizer": "pytorch", "low": "y8-y8"},
        common=True,
    ),
    Practice(
        name="Pillow's BICUBIC in 8 bits",
        advice="Resize in floats, as MATLAB's imresize does: srrepro.pixels.resize.imresize.",
        axis="image",
        change={"resizer": "pillow", "low": "y8-y8"},
        common=True,
    ),
    Practice(
        name="small image of 8 bits (RGB files)",
        advice="Keep the small image in floats; do not save it in between.",
        axis="image",
        change={"low": "rgb8"},
    ),
    Practice(
        name="small and interpolated image of 8 bits",
        advice="Keep both in floats; do not round after imresize.",
        axis="image",
        change={"low": "y8-y8"},
    ),
    Practice(
        name="an older MATLAB's border",
        advice="Nothing is wrong: releases of MATLAB differ. This protocol mirrors the edge.",
        axis="image",
        change={"resizer": "matlab-clamp"},
    ),
    Practice(
        name="interpolated image clamped to 16-235",
        advice="Do not clamp, or compare with numbers that were made so: --protocol vdsr-y-v1.",
        axis="image",
        change={"clamp": (16, 235)},
    ),
    Practice(
        name="nothing shaved",
        advice="Drop as many pixels as the scale from every edge before measuring.",
        axis="shave",
        change={"shave": 0},
        common=True,
    ),
    Practice(
        name="scale + 6 pixels shaved",
        advice="Drop only as many pixels as the scale from every edge.",
        axis="shave",
        change={"shave": 6},
    ),
    Practice(
        name="estimate not rounded",
        advice="Clip the estimate and round it to 8 bits before measuring.",
        axis="rounding",
        change={"rounding": "none"},
    ),
    Practice(
        name="estimate truncated, not rounded",
        advice="Round before you convert: (255 * y).clip(0, 255).round().astype(uint8).",
        axis="rounding",
        change={"rounding": "u8-floor"},
    ),
    Practice(
        name="compared with the interpolated image",
        advice="Compare with the photograph's own luminance, not with the network's input.",
        axis="errors",
        against_interpolated=True,
    ),
    Practice(
        name="one PSNR of all images' errors",
        advice="Take the PSNR of every image, and their mean.",
        axis="errors",
        pooled=True,
    ),
    Practice(
        name="SSIM: uniform window (scikit-image's own)",
        advice="gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255.",
        axis="ssim",
        change={"metrics": ("psnr_db", "ssim_uniform")},
    ),
    Practice(
        name="SSIM: sample covariance",
        advice="use_sample_covariance=False.",
        axis="ssim",
        change={"metrics": ("psnr_db", "ssim_sample")},
    ),
    Practice(
        name="SSIM: range twice too wide",
        advice="Say data_range: 255 for levels, 1 for floats of 0 to 1.",
        axis="ssim",
        change={"metrics": ("psnr_db", "ssim_doubled_range")},
    ),
)
"""One at a time."""

_WHOLE_SCRIPTS = (
    Practice(
        name="a usual PyTorch port (8-bit Pillow, 64.738, unshaved)",
        advice="Resize with MATLAB's imresize in floats, take Y with 65.481, round, and shave.",
        axis="image",
        change={"low": "rgb8-rgb8", "resizer": "pillow", "colour": "64738-float", "rounding": "none", "shave": 0},
    ),
    Practice(
        name="a usual OpenCV script (8 bits, full-range Y, unshaved)",
        advice="Resize with MATLAB's imresize in floats, take Y from 16 to 235, and shave.",
        axis="image",
        change={"low": "rgb8-rgb8", "resizer": "pytorch", "colour": "full-u8", "shave": 0},
    ),
    Practice(
        name="EDSR's way with RGB (8-bit RGB, scale + 6 shaved)",
        advice="Measure the luminance Y, and shave as many pixels as the scale.",
        axis="image",
        change={"low": "rgb8", "colour": "rgb", "rounding": "rgb8", "shave": 6},
    ),
)


def together(practices: Sequence[Practice]) -> Practice:
    """Several practices at once, none of the same axis."""
    change: dict[str, Any] = {}
    for practice in practices:
        lows = {change.get("low"), practice.change.get("low")}
        change |= practice.change
        if "y8-y8" in lows and "rgb8" in lows:
            change["low"] = "rgb8-rgb8"
    return Practice(
        name=" + ".join(practice.name for practice in practices),
        advice=" ".join(dict.fromkeys(practice.advice for practice in practices)),
        change=change,
        axis="image",
        zeros=any(practice.zeros for practice in practices),
        swapped=any(practice.swapped for practice in practices),
        parts=sum(practice.parts for practice in practices),
    )


def combined() -> Iterator[Practice]:
    """The combinations that people really have: pairs of common practices, and whole scripts, padded well or not."""
    common = [practice for practice in ALONE if practice.common]
    zeros = common[0]
    for pair in combinations(common, 2):
        if pair[0].axis != pair[1].axis:
            yield together(pair)
    for script in _WHOLE_SCRIPTS:
        yield replace(script, parts=2)
        yield together([zeros, replace(script, parts=2)])
