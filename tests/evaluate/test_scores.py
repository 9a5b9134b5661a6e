"""Evaluation: the figures of the reference data, what cannot be scored."""

from pathlib import Path

import numpy as np
import pytest

from derain import metrics
from derain.data import find_pairs
from derain.evaluate import evaluate
from derain.images import write_image
from derain.restore import Derainer, load

PUBLISHED = {"y-matlab": (38.487, 0.9811), "y-pil": (37.160, 0.9761), "rgb": (37.090, 0.9779)}


def test_published_checkpoint_gives_the_figures_to_reproduce(reference_data: Path) -> None:
    derainer = load(str(reference_data / "published-weights/nledn/net_Rain100L.pth"), device="cpu")
    evaluation = evaluate(derainer, find_pairs(reference_data / "pairs/Rain100L-dev10"))
    for protocol in metrics.PROTOCOLS:
        score = evaluation.mean(protocol)
        assert score.psnr == pytest.approx(PUBLISHED[protocol][0], abs=0.01)
        assert score.ssim == pytest.approx(PUBLISHED[protocol][1], abs=0.0005)


def test_twins_of_two_sizes_and_depths_are_refused(nothing: Derainer, pairs: Path) -> None:
    write_image(pairs / "rainy/2.png", np.zeros((30, 30, 3), np.uint8))
    with pytest.raises(ValueError, match="are 30x30 and 50x40: expected twins of one size"):
        evaluate(nothing, find_pairs(pairs))
    write_image(pairs / "rainy/2.png", np.zeros((40, 50, 3), np.uint16))
    with pytest.raises(ValueError, match="16 bits a channel"):
        evaluate(nothing, find_pairs(pairs))
