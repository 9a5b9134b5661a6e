"""Where a lease reads and writes: clean pictures, textures, weights to begin from."""

import functools
import os
import time
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from derain import rain
from derain.data import clean_pictures
from derain.images import read_image
from derain.networks import Petrichor, PetrichorDeep, PetrichorLive, PetrichorWide, grown
from derain.train import ResidentBatches, read_bytes
from derain.weights import Card, loading
from tools.zoo.stepper import Settings

SIZES: dict[str, type[Petrichor]] = {
    "petrichor": Petrichor,
    "petrichor-live": PetrichorLive,
    "petrichor-deep": PetrichorDeep,
    "petrichor-wide": PetrichorWide,
}
SETTINGS = {
    "petrichor": Settings(batch=48, lr=2e-3),
    "petrichor-live": Settings(batch=64, lr=2.5e-3),
    "petrichor-deep": Settings(batch=32),
    "petrichor-wide": Settings(batch=32, lr=1e-3),
}
BANK_PARTS = ("texels", "slopes", "starts", "heights", "widths")


@functools.cache
def began() -> float:
    """Return when the script began, also in the processes that it starts.

    The first call of the first process decides, and the environment tells the others; monotonic
    clocks are the machine's.
    """
    return float(os.environ.setdefault("DERAIN_LEASE_BEGAN", str(time.monotonic())))


def elapsed() -> float:
    """Return the seconds since the script began."""
    return time.monotonic() - began()


def say(text: str) -> None:
    """Print a line with the seconds since the script began."""
    print(f"{elapsed():6.1f} s  {text}", flush=True)


@dataclass(frozen=True)
class Place:
    """Where a lease reads and writes.

    Attributes:
        rehearse: Whether everything is tiny, for a CPU.
    """

    data: Path
    out: Path
    scratch: Path
    device: torch.device
    rehearse: bool

    @property
    def prepared(self) -> Path:
        """Return the file of decoded pictures and textures.

        A rehearsal has few of them, and so a file of its own.
        """
        return self.scratch / ("rehearsal.pt" if self.rehearse else "data.pt")

    def settings(self, name: str) -> Settings:
        """Return what a size trains with."""
        chosen = SETTINGS[name]
        return replace(chosen, batch=2, crop=64) if self.rehearse else chosen

    def network(self, name: str) -> tuple[Petrichor, Card]:
        """Return what a size begins from: its own weights, or the default size grown."""
        own = self.data / f"{name}.safetensors"
        for place in (str(own), name):
            try:
                network, card = loading.find(place)
            except FileNotFoundError:
                continue
            return cast("Petrichor", network), card
        network, card = self.network("petrichor")
        return grown(network, SIZES[name]), replace(card, name=name, network=name)

    def prepare(self) -> None:
        """Decode all pictures and textures, once for all sizes, into one file."""
        paths = clean_pictures(self.data / "clean/train")
        textures = clean_pictures(self.data / "textures")
        if self.rehearse:
            paths, textures = paths[:8], textures[:8]
        side = max(self.settings(name).crop for name in SIZES)
        with ProcessPoolExecutor() as pool:
            grey = list(pool.map(_grey, textures, chunksize=8))
            pictures = list(pool.map(_pixels, paths, [side] * len(paths), chunksize=8))
        bank = rain.bank_of("textures", [torch.from_numpy(texture) for texture in grey])
        parts = {name: getattr(bank, name) for name in BANK_PARTS}
        content = {"pictures": [torch.from_numpy(picture) for picture in pictures], "bank": parts}
        self.scratch.mkdir(parents=True, exist_ok=True)
        draft = self.prepared.with_suffix(".part")
        torch.save(content, draft)
        os.replace(draft, self.prepared)

    def batches(self, settings: Settings) -> ResidentBatches:
        """Wait until the data are prepared, and put them on the device."""
        while not self.prepared.exists():
            time.sleep(0.1)
        content = torch.load(self.prepared, weights_only=True)
        return ResidentBatches(
            content["pictures"],
            rain.PRESETS["mixed"],
            rain.TextureBank("textures", **content["bank"]),
            self.device,
            batch=settings.batch,
            crop=settings.crop,
            seed=settings.seed,
            bars=settings.bars,
            exposure=settings.exposure,
            blown=settings.blown,
            compressed=settings.compressed,
        )

    def done_mark(self, name: str) -> Path:
        """Return the file that exists once a size needs the device no more."""
        return self.scratch / f"{name}.done"

    @contextmanager
    def turn(self, name: str, order: list[str]) -> Generator[None]:
        """Wait until the sizes before this one are done; they may have failed."""
        before = [self.done_mark(other) for other in order[: order.index(name)]]
        while not all(mark.exists() for mark in before):
            time.sleep(0.05)
        try:
            yield
        finally:
            self.done_mark(name).touch()


def _grey(path: Path) -> NDArray[np.float32]:
    return np.asarray(read_image(path), np.float32).mean(axis=2) / 255


def _pixels(path: Path, side: int) -> NDArray[np.uint8]:
    return read_bytes(path, side).numpy()
