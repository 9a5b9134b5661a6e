"""JPEG compression on tensors, as a camera applies it after the rain; alike on every device.

The rain of photographs and video is compressed with the scene: its edges ring, faint streaks are
quantised away, colour is halved in resolution. Networks that only saw clean rain leave it alone.

The steps are those of baseline JPEG (ITU-T T.81, 1992) with libjpeg's scaling of the tables of its
Annex K, colour halved in both directions; the entropy coder, which loses nothing, is left out.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 8

_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
"""ITU-T T.81, Tables K.1 and K.2."""

_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Of RGB, ITU-T T.871 (JFIF)."""


class Compression:
    """A function that compresses batches of pictures on one device.

    Args:
        device: Where the pictures lie.
    """

    def __init__(self, device: torch.device) -> None:
        self._to_ycbcr = torch.tensor(_YCBCR, device=device)
        self._to_rgb = torch.linalg.inv(self._to_ycbcr.cpu().double()).float().to(device)
        self._tables = [
            torch.tensor(table, dtype=torch.float32, device=device)
            for table in (_LUMINANCE, _CHROMINANCE)
        ]
        place = torch.arange(BLOCK, dtype=torch.float64)
        cosines = torch.cos(torch.pi / BLOCK * (place[None] + 0.5) * place[:, None]) / 2
        cosines[0] /= 2**0.5
        self._dct = cosines.float().to(device)  # (frequency, place)

    def __call__(self, pictures: Tensor, quality: Tensor) -> Tensor:
        """Compress and open again: (N, 3, H, W) in [0, 1] -> the same, rounded to 8 bits.

        Args:
            pictures: (N, 3, H, W) in [0, 1].
            quality: Of each picture, 1 to 100, as libjpeg counts it, (N,).
        """
        # Whole blocks of luminance and of colour at half the size.
        height, width = pictures.shape[2:]
        below, right = -height % (2 * BLOCK), -width % (2 * BLOCK)
        padded = F.pad(pictures, (0, right, 0, below), mode="replicate")
        # (N, 3, H, W), 0 … 255
        ycbcr = torch.einsum("ij,njhw->nihw", self._to_ycbcr, (255 * padded).round())
        # libjpeg's factor on the tables: 50 takes them as they are.
        scale = torch.maximum(5000 / quality.clamp(max=50), torch.zeros_like(quality)) * (
            quality < 50
        )
        scale = (scale + (200 - 2 * quality) * (quality >= 50)) / 100
        # Colour at half the size, as most cameras store it: (N, 2, H / 2, W / 2).
        grey = self._quantised(ycbcr[:, :1] - 128, self._tables[0], scale)
        colour = self._quantised(F.avg_pool2d(ycbcr[:, 1:], 2), self._tables[1], scale)
        colour = F.interpolate(colour, scale_factor=2, mode="bilinear", align_corners=False)
        rgb = torch.einsum("ij,njhw->nihw", self._to_rgb, torch.cat([grey + 128, colour], 1))
        return rgb[..., :height, :width].round().clamp(0, 255) / 255

    def _quantised(self, planes: Tensor, table: Tensor, scale: Tensor) -> Tensor:
        """Round the frequencies of each block, (N, C, H, W), to multiples of the scaled table."""
        count, channels, height, width = planes.shape
        blocks = planes.view(count, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
        frequencies = torch.einsum("ur,ncirjs,vs->nciujv", self._dct, blocks, self._dct)
        steps = (
            (scale.view(-1, 1, 1) * table + 0.5)
            .floor()
            .clamp(1, 255)
            .view(count, 1, 1, BLOCK, 1, BLOCK)
        )
        frequencies = (frequencies / steps).round() * steps
        return torch.einsum("ur,nciujv,vs->ncirjs", self._dct, frequencies, self._dct).reshape(
            planes.shape
        )
