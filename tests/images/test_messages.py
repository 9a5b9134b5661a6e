"""What decoders print stays off standard error, and nothing else does."""

import contextlib
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from made_files import saved, tiff, tiff_tags
from numpy.typing import NDArray
from PIL import Image

from derain import images
from derain.images import ImageError
from derain.images.messages import caught_messages


def damaged_tiff(photo: NDArray[np.uint8], compression: str) -> bytes:
    data = bytearray(saved(Image.fromarray(photo), "TIFF", compression=compression))
    for place in range(2000, 2600):
        data[place] ^= 0x5A
    return bytes(data)


def damaged_deep_png(photo: NDArray[np.uint8]) -> bytes:
    import cv2

    data = bytearray(cv2.imencode(".png", photo.astype(np.uint16) * 257)[1].tobytes())
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_libtiff_is_not_heard(
    photo: NDArray[np.uint8], compression: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # Some damage to a JPEG can be bridged.
    with contextlib.suppress(ImageError):
        images.read(damaged_tiff(photo, compression))
    assert capfd.readouterr().err == ""


def test_libpng_is_not_heard(photo: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImageError, match="damaged or truncated PNG"):
        images.read(damaged_deep_png(photo))
    assert capfd.readouterr().err == ""


def test_what_pillow_logs_is_not_heard(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys; from derain import images\n"
        "try: images.read(sys.stdin.buffer.read())\n"
        "except images.ImageError as error: print(error)"
    )
    data = tiff((tiff_tags(6, 4) | {277: (121,)}, bytes(9000)))
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True)
    assert done.stdout.startswith(b"a damaged or truncated TIFF picture")
    assert done.stderr == b""


@pytest.mark.skipif(sys.platform == "win32", reason="libtiff cannot be asked there")
def test_what_libtiff_says_is_part_of_the_line(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match=r"TIFF picture \(.*; .*not yet in table\)") as caught:
        images.read(damaged_tiff(photo, "tiff_lzw"))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="libtiff cannot be asked there")
def test_other_threads_keep_their_messages(
    photo: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    data = damaged_tiff(photo, "tiff_lzw")

    def decode_without_derain() -> None:
        from io import BytesIO

        with pytest.raises(OSError, match="-2"):
            Image.open(BytesIO(data)).load()

    with caught_messages() as said:
        other = threading.Thread(target=decode_without_derain)
        other.start()
        other.join()
        assert "not yet in table" in capfd.readouterr().err
        assert said == []
        decode_without_derain()
    assert capfd.readouterr().err == ""
    assert len(said) == 1


def test_standard_error_may_be_closed(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(damaged_tiff(photo, "tiff_lzw"))
    code = (
        "import os, sys; os.close(2)\nfrom derain import images\n"
        "try: images.read(sys.argv[1])\nexcept images.ImageError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.tif")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.startswith("a damaged or truncated TIFF picture")


def test_many_threads_leave_warnings_and_pillows_bound_as_they_were(
    photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    filters = list(warnings.filters)
    data = saved(Image.fromarray(photo), "WEBP")
    failures: list[BaseException] = []

    def read_often() -> None:
        try:
            for _ in range(20):
                images.read(data)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read_often) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(warnings.filters) == filters
    assert Image.MAX_IMAGE_PIXELS == 10
