"""Metrics: nothing else in derain decides what "PSNR", "SSIM" or "NIQE" means.

`fidelity` has PSNR and SSIM against the ground truth, and the named protocols. `niqe` says how
natural a picture looks, without ground truth.
"""

from derain.metrics.fidelity import (
    PROTOCOLS,
    Bytes,
    Float64s,
    Protocol,
    Score,
    luma_matlab,
    luma_pil,
    psnr,
    quantise,
    score,
    ssim,
)
from derain.metrics.niqe import NaturalModel, NiqeError

__all__ = [
    "PROTOCOLS",
    "Bytes",
    "Float64s",
    "NaturalModel",
    "NiqeError",
    "Protocol",
    "Score",
    "luma_matlab",
    "luma_pil",
    "psnr",
    "quantise",
    "score",
    "ssim",
]
