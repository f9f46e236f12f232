"""The protocols that have names, one entry each. A name never changes its meaning: another one gets another version.

`matlab-y-v1`: crop the image to a multiple of the scale; Y = MATLAB `rgb2ycbcr` on uint8; degrade Y / 255 in float
with MATLAB's bicubic `imresize`, mirrored border, down, then up, without rounding in between; run the network in
float32; clip, round to uint8; drop `scale` pixels from every edge; PSNR with peak 255 and Wang's SSIM against the
uint8 Y. A grey image is used as it is.
"""

from srrepro.protocols.protocol import Protocol

MATLAB_Y = Protocol(name="matlab-y-v1")

VDSR_Y = Protocol(name="vdsr-y-v1", clamp=(16, 235))
"""The VDSR paper's tables (its authors' code: kjw0612/rcn 79f2bab, methods/VDSR.m)."""

RGB8_Y = Protocol(name="rgb8-y-v1", colour="studio-float", low="rgb8", grey="rgb", rounding="rgb8")
"""Networks that take and give RGB: MATLAB's small image of 8 bits, the result rounded in RGB, Y of both not rounded.

Grey images become RGB first. IMDN's README has these numbers."""

CARN_Y = Protocol(name="carn-y-v1", low="rgb8", resizer="matlab-clamp", grey="rgb", rounding="rgb8-floor")
"""CARN's README: an older MATLAB's small image of 8 bits, the result cut to 8 bits, not rounded, Y of both rounded."""

LAPSRN = Protocol(
    name="lapsrn-v1",
    colour="studio-float",
    low="rgb-float",
    grey="rgb",
    rounding="rgb8",
    metrics=("psnr_db", "ssim_toolbox"),
)
"""LapSRN's README: the small image in float, the result rounded in RGB, Y of both not rounded, MATLAB's own `ssim`."""

MATLAB_CLAMP_Y = Protocol(name="matlab-clamp-y-v1", resizer="matlab-clamp")
"""FSRCNN's and IDN's tables: `matlab-y-v1` by an older MATLAB, which repeats the edge of an image, not mirrors it."""

DNCNN_Y = Protocol(name="dncnn-y-v1", colour="studio-float", low="rgb8", grey="rounded", rounding="none")
"""DnCNN's README: MATLAB's small image of 8 bits, enlarged in RGB, then Y; neither estimate nor reference rounded.

Its test code enlarges grey images as they are, in 8 bits."""

RGB = Protocol(name="rgb-v1", colour="rgb", low="rgb-float", grey="rgb", rounding="rgb8")
"""PSNR and SSIM of all three channels: MATLAB's small image in float, the result rounded in RGB. No paper prints it."""

PROTOCOLS = {value.name: value for value in list(vars().values()) if isinstance(value, Protocol)}


def protocol_named(name: str | None) -> Protocol:
    """The protocol of that name; None, as recipes had it before there were two, is the first."""
    return MATLAB_Y if name is None else PROTOCOLS[name]
