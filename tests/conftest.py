"""What the tests share.

Reference tests need data that is not ours to commit. They find it through DERAIN_TEST_DATA (a
folder with ``pairs/``, ``clean/`` and ``published-weights/``) and are skipped without it, except in
CI, where its absence is a failure.
"""

import ast
import functools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import settings
from numpy.typing import NDArray
from numpy_engines import Unchanged

from derain.data.copies import Album
from derain.extras import is_installed
from derain.images import write_image
from derain.metrics import NaturalModel, niqe
from derain.restore import Derainer

# Several at once: small pictures keep no more than one core busy each. PyTorch, which is imported
# later, ONNX Runtime's engine and the processes that tests start go by this.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

OF_PYAV = (
    "filming.py",
    "clips/test_clips_pipeline.py",
    "clips/test_clips_plan.py",
    "clips/test_resume.py",
    "clips/test_shares.py",
    "clips/test_streaming.py",
    "clips/test_video_sequences.py",
    "cluster/test_cluster_clips.py",
    "video/test_encoding.py",
    "video/test_hdr.py",
    "video/test_joining.py",
    "video/test_pixels.py",
    "video/test_reading.py",
    "video/test_recording.py",
    "video/test_recording_times.py",
)
"""What cannot be imported without PyAV."""

OF_FASTAPI = (
    "serve/test_serve_headers.py",
    "serve/test_live.py",
    "serve/test_sending.py",
    "serve/test_uploads.py",
    "cli/test_serve.py",
)
"""What cannot be imported without the extra ``serve``."""

OF_RAY = (
    "cluster/archives.py",
    "cluster/test_cluster_clips.py",
    "cluster/test_cluster_manifest.py",
    "cluster/test_cluster_nodes.py",
    "cluster/test_cluster_run.py",
    "cluster/test_cluster_s3.py",
    "cluster/test_cluster_work.py",
)
"""What cannot be imported without the extra ``cluster``."""

collect_ignore = [
    *(() if is_installed("av") else OF_PYAV),
    *(() if is_installed("fastapi") else OF_FASTAPI),
    *(() if is_installed("ray") else OF_RAY),
]

settings.register_profile("derain", deadline=None, max_examples=15)
settings.load_profile("derain")

OF_TORCH = (
    "torch",
    "onnx",  # comes with it
    "derain.networks",
    "derain.rain",
    "derain.recipes",
    "derain.synth",
    "derain.train",
    "derain.engines.export",
    "derain.engines.pytorch",
    "derain.engines.quantize",
    "derain.engines.shipped",
    "derain.weights.authors",
    "derain.weights.loading",
    "derain.weights.store",
    "benchmarks",
    "tools",
)
"""What cannot be imported without PyTorch, with all that is inside."""


@functools.cache
def is_of_torch(module: Path) -> bool:
    """Return whether a test module cannot be imported without PyTorch, by its own imports.

    Those inside functions and classes do not count: tests that need PyTorch in other modules have
    the marker ``torch``.
    """
    names: list[str] = []
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return any(f"{name}.".startswith(f"{other}.") for name in names for other in OF_TORCH)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Without PyTorch leave out modules that need it, and folders whose fixtures do."""
    is_folder = collection_path.is_dir()
    module = collection_path / "conftest.py" if is_folder else collection_path
    if is_installed("torch") or module.suffix != ".py" or not module.is_file():
        return None
    return is_of_torch(module) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs PyTorch as a whole; skip what is marked where there is none."""
    for item in items:
        if is_of_torch(item.path):
            item.add_marker("torch")
        if item.get_closest_marker("torch") and not is_installed("torch"):
            item.add_marker(pytest.mark.skip(reason="needs PyTorch"))


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of reference data."""
    place = os.environ.get("DERAIN_TEST_DATA", "")
    if place and Path(place).is_dir():
        return Path(place)
    if os.environ.get("CI"):
        pytest.fail(f"DERAIN_TEST_DATA={place!r}: CI needs the reference data")
    pytest.skip("needs reference data in DERAIN_TEST_DATA")


@pytest.fixture(scope="session")
def album() -> Album:
    """What is known of reference pictures: their features take most of the time of some tests."""
    return Album()


@pytest.fixture(scope="session")
def some_clean_pictures(reference_data: Path) -> list[Path]:
    """Twenty-five of the clean pictures: all take minutes.

    They are the same in all tests, so that the album reads each once.
    """
    return sorted((reference_data / "clean/train").iterdir())[::36]


@pytest.fixture(scope="session")
def golden(reference_data: Path) -> Path:
    """The folder of golden inputs, weights and outputs."""
    for place in (
        reference_data / "golden",
        reference_data / "spec/golden",
        reference_data.parent / "spec/golden",
    ):
        if place.is_dir():
            return place
    if os.environ.get("CI"):
        pytest.fail(f"{reference_data}: CI needs the golden files")
    pytest.skip("needs golden files beside the reference data")


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A public-domain photograph, (120, 160, 3)."""
    return np.ascontiguousarray(skimage.data.astronaut()[30:150, 150:310])


@pytest.fixture(scope="session")
def crops() -> list[NDArray[np.uint8]]:
    """Forty-eight clean pictures of 96x96, which is enough for a NIQE model."""
    photos = [
        skimage.data.astronaut(),
        skimage.data.coffee(),
        skimage.data.rocket(),
        skimage.data.chelsea(),
    ]
    corners = [(photo, 96 * i, 96 * j) for photo in photos for i in range(3) for j in range(4)]
    return [
        np.ascontiguousarray(photo[top : top + 96, left : left + 96])
        for photo, top, left in corners
    ]


@pytest.fixture(scope="session")
def natural(crops: list[NDArray[np.uint8]]) -> NaturalModel:
    """A NIQE model of the crops."""
    return niqe.fit(crops)


@pytest.fixture
def pairs(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    """A folder of two pairs, called ``set``; the rainy ones are brighter by 9 and 18 levels."""
    for name, change in (("rainy", 9), ("clean", 0)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in (1, 2):
            write_image(
                tmp_path / "set" / name / f"{k}.png",
                np.clip(photo[:40, :50].astype(int) + change * k, 0, 255).astype(np.uint8),
            )
    return tmp_path / "set"


@pytest.fixture
def train_and_val(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    """A folder ``clean`` with one clean picture each in ``train`` and ``val``."""
    halves = {"train": photo[:, :80], "val": photo[::-1, 80:]}
    for name, half in halves.items():
        (tmp_path / "clean" / name).mkdir(parents=True)
        write_image(tmp_path / "clean" / name / "1.png", np.ascontiguousarray(half))
    return tmp_path / "clean"


@pytest.fixture
def yard(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    """A video of 321 frames, as many as the default frames to score need: a photograph in rain."""
    draws = np.random.default_rng(0)
    dry = np.ascontiguousarray(photo[:64, :80])
    path = tmp_path / "yard.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (80, 64))
    for _ in range(321):
        rainy = dry.astype(int)
        for left, top in zip(draws.integers(0, 80, 25), draws.integers(0, 48, 25), strict=True):
            rainy[top : top + 16, left] += 70
        writer.write(cv2.cvtColor(np.clip(rainy, 0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


@pytest.fixture
def nothing() -> Derainer:
    """An engine that changes nothing, under the title of a network of which there are papers."""
    return Derainer(Unchanged("NLEDN"), name="nothing")


@pytest.fixture
def mkfifo() -> Iterator[Callable[[str | Path], None]]:
    """Makes a pipe with a name; a test that opens one, which waits forever, fails."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs pipes with names")

    def fail(*_: object) -> None:
        pytest.fail("waits for a pipe")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    yield os.mkfifo
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """A single thread for PyTorch, which is fastest for small pictures on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def seeded() -> None:
    """The same random numbers in every run."""
    import torch

    torch.manual_seed(0)
