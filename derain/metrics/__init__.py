"""What a picture scores. Nothing else in derain decides what "PSNR", "SSIM" or "NIQE" means.

`fidelity`: PSNR and SSIM against a clean twin, and the named protocols. `niqe`: how natural a
picture looks, without a twin.
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
