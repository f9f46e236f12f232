"""The name by which `psnr` and `ssim` were public first."""

from srrepro.pixels.metrics import psnr, ssim

__all__ = ["psnr", "ssim"]
