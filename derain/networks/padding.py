"""Padding of pictures to the sides that a network's halvings need."""

from torch import Tensor
from torch.nn import functional as F


def pad_to(picture: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples.

    Args:
        picture: (N, C, H, W); it is returned unchanged in value at the left and above.
        multiple: In pixels, at least 1.
    """
    height, width = picture.shape[2:]
    return F.pad(picture, (0, -width % multiple, 0, -height % multiple), mode="replicate")
