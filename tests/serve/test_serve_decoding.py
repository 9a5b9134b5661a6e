"""A decoder process from one picture to the next."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derain.images import write_image
from derain.serve.decoding import Decoder
from derain.serve.negotiation import Wish
from derain.serve.settings import Settings


def test_a_picture_that_nobody_takes_spoils_no_other(
    tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    write_image(tmp_path / "a.png", photo)
    file = (tmp_path / "a.png").read_bytes()
    decoder = Decoder(Settings())
    try:
        decoder.wait_ready()
        for _ in range(2):
            assert decoder.judge(file) == photo.shape[0] * photo.shape[1]
            assert decoder.decode(Wish(("PNG",)), "a.png").shape == photo.shape
            # The client has gone; the pixels are still in the pipe.
            decoder.forget()
        assert decoder.is_alive
    finally:
        decoder.kill()
