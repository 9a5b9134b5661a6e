"""Synthetic rain on clean pictures: `plan` says what goes where, `synthesise` makes it."""

import csv
import hashlib
import io
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from derain.data import clean_pictures, refuse_pairs
from derain.errors import DerainError, ExistsError, UsageError, check_choice
from derain.files import write_file
from derain.images import (
    ImageError,
    Picture,
    check_format,
    encode,
    format_of,
    read,
    to_levels,
)
from derain.images.naming import names_a_file
from derain.progress import Progress, silent
from derain.rain import (
    PRESETS,
    RainPreset,
    TextureBank,
    compose_pixels,
    generator_for,
    load_textures,
    sample,
)

DENSITY_FILE = "density.csv"
DENSITY_COLUMNS = ("picture", "preset", "coverage", "density")
"""Of a picture: its name in the folder, the preset, the share under rain, how dense that is."""


HALVES = ("rainy", "clean")
PARTS = ("layer", "mask")
"""Folders of an output."""


@dataclass(frozen=True)
class RainSource:
    """A source of rain.

    Attributes:
        name: Of the preset.
        preset: Ranges that rain is drawn from.
        bank: Streak textures, for presets with layers of them; None draws these layers instead.
    """

    name: str
    preset: RainPreset
    bank: TextureBank | None = None


@dataclass(frozen=True)
class SynthJob:
    """A clean picture and the files to make of it; None for those that are not asked for.

    Attributes:
        source: The clean picture.
        name: What it is called in the table of densities; its rain depends on this and the seed.
        rainy: The picture with rain.
        clean: The clean picture again, as PNG.
        layer: The rain alone.
        mask: White where there is rain.
    """

    source: Path
    name: str
    rainy: Path
    clean: Path | None = None
    layer: Path | None = None
    mask: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All files to make."""
        return [path for path in (self.rainy, self.clean, self.layer, self.mask) if path]


@dataclass(frozen=True)
class SynthPlan:
    """All jobs of a run; the table of densities is None without parts of the rain."""

    jobs: tuple[SynthJob, ...]
    table: Path | None = None


@dataclass(frozen=True)
class SynthResult:
    """The result of a picture, or of the table of densities.

    Attributes:
        source: The clean picture, or the table.
        target: The rainy picture, or the table.
        status: ``made``; ``skipped``, because all files exist already; or ``failed``.
        error: Why, for the last two; an `ExistsError` where overwriting would help.
    """

    source: Path
    target: Path
    status: Literal["made", "skipped", "failed"] = "made"
    error: Exception | None = None


def find_rain(preset: str, textures: Path | None = None) -> RainSource:
    """Return the rain of a preset by name.

    Args:
        preset: A name in `derain.rain.PRESETS`.
        textures: Folder of grey streak textures, for presets with layers of them.

    Raises:
        UsageError: If there is no such preset, or it has no layers of textures.
        ValueError: If a texture cannot be read.
        OSError: If there is no such folder, or no textures in it.
    """
    check_choice(preset, PRESETS, "preset")
    if textures is None:
        return RainSource(preset, PRESETS[preset])
    if not PRESETS[preset].has_textures:
        with_textures = ", ".join(name for name, known in PRESETS.items() if known.has_textures)
        raise UsageError(
            f"{preset} has no layers of textures; expected one of {with_textures}",
            option="textures",
        )
    return RainSource(preset, PRESETS[preset], load_textures(textures))


def plan(
    clean: str | os.PathLike[str], output: str | os.PathLike[str], *, parts: bool = False
) -> SynthPlan:
    """Return the files to make of a clean picture, or of all in a folder.

    Args:
        clean: A picture, or a folder.
        output: A folder for ``rainy/`` and ``clean/``; or, for one picture, the name of another.
        parts: Whether the folder gets the rain's ``layer/`` and ``mask/``, and `DENSITY_FILE`.

    Raises:
        UsageError: If parts are asked for and the output is one picture, or its name has an ending
            of no format that derain writes, or it is one picture for a folder, or the folders in it
            would be those of the clean pictures.
        ValueError: If the folder holds rainy pictures too.
        OSError: If there are no pictures, or a folder cannot be listed.
    """
    clean = Path(clean)
    if not clean.exists():
        raise FileNotFoundError(f"{clean}: no such file or folder; expected clean pictures")
    single = clean.is_file()
    is_picture = names_a_file(os.fspath(output))
    output = Path(output)
    if is_picture and not single:
        raise UsageError(
            "one picture for a folder; expected a folder", option="output", value=output
        )
    if is_picture:
        if parts:
            raise UsageError(
                f"the output {output} is one picture; expected a folder", option="parts"
            )
        return SynthPlan((SynthJob(clean, f"{clean.stem}.png", output),))
    _check_apart(clean, output, [*HALVES, *(PARTS if parts else ())])
    # Folders inside the folder are kept, so that pictures of one name do not collide.
    sources = [clean] if single else _clean_sources(clean, output)
    names = [
        Path(f"{clean.stem}.png") if single else source.relative_to(clean).with_suffix(".png")
        for source in sources
    ]
    jobs = tuple(
        SynthJob(
            source,
            name.as_posix(),
            rainy=output / "rainy" / name,
            clean=output / "clean" / name,
            layer=output / "layer" / name if parts else None,
            mask=output / "mask" / name if parts else None,
        )
        for source, name in zip(sources, names, strict=True)
    )
    return SynthPlan(jobs, output / DENSITY_FILE if parts else None)


def _check_apart(clean: Path, output: Path, names: Sequence[str]) -> None:
    """Refuse an output of which a folder is that of the clean pictures.

    Raises:
        UsageError: If one is, such as ``data/clean`` for the pictures in there.
    """
    whole = (clean.parent if clean.is_file() else clean).resolve()
    for folder in (output / name for name in names):
        if folder.resolve() == whole:
            raise UsageError(
                f"{folder} holds the clean pictures; choose another output",
                option="output",
                value=output,
            )


def _clean_sources(clean: Path, output: Path) -> list[Path]:
    """Return the pictures of a folder, without those that an earlier run made in it."""
    made, whole = output.resolve(), clean.resolve()
    if made == whole or not made.is_relative_to(whole):
        refuse_pairs(clean)
        return clean_pictures(clean)
    refuse_pairs(clean, without=made)
    sources = [path for path in clean_pictures(clean) if not path.resolve().is_relative_to(made)]
    if not sources:
        raise FileNotFoundError(f"{clean}: no pictures here but those in the output {output}")
    return sources


def synthesise(
    planned: SynthPlan,
    rain: RainSource,
    *,
    seed: int = 0,
    force: bool = False,
    progress: Progress = silent,
) -> Generator[SynthResult]:
    """Make rain on pictures; yield what became of each.

    What fails is named and the others are made. Nothing is written over an input. A second run
    makes what the first left undone.

    Args:
        planned: What goes where.
        rain: Where rain comes from.
        seed: The same seed gives pictures of the same names the same rain, whatever lies beside
            them.
        force: Whether files that exist are overwritten.
        progress: Gets a report of "pictures" after each.
    """
    maker = _Maker(rain, seed, force, frozenset(job.source.resolve() for job in planned.jobs))
    table_error: Exception | None = None
    try:
        for count, job in enumerate(planned.jobs, 1):
            yield maker.make(job)
            progress("pictures", count, len(planned.jobs))
    finally:
        # After an interruption too, so that the table has a row for every picture that was made.
        if planned.table and maker.densities:
            table_error = _add_densities(planned.table, maker.densities)
    if planned.table and table_error:
        yield SynthResult(planned.table, planned.table, "failed", table_error)


@dataclass
class _Maker:
    """Makes the files of one job after the other.

    Attributes:
        inputs: Resolved paths of all clean pictures.
        taken: Rainy pictures that earlier jobs made.
        densities: Rows for the table of densities.
    """

    rain: RainSource
    seed: int
    force: bool
    inputs: frozenset[Path]
    taken: set[Path] = field(default_factory=set)
    densities: list[tuple[str, ...]] = field(default_factory=list)

    def make(self, job: SynthJob) -> SynthResult:
        """Make a picture, or what is missing of it."""
        try:
            if self._make(job):
                return SynthResult(job.source, job.rainy)
        except (DerainError, OSError) as error:
            return SynthResult(job.source, job.rainy, "failed", error)
        exists = ExistsError(f"{job.rainy} already exists")
        return SynthResult(job.source, job.rainy, "skipped", exists)

    def _make(self, job: SynthJob) -> bool:
        """Return whether there was something to make.

        Raises:
            ImageError: If the picture cannot be read, or a file that exists is an input.
            ExistsError: If a file that exists is another picture, and overwriting is not asked for.
            OSError: If files cannot be written.
        """
        if job.rainy in self.taken:
            raise ImageError(f"another picture became {job.rainy}; give them names of their own")
        self.taken.add(job.rainy)
        existing = [path for path in job.files if path.exists()]
        if harmed := next((path for path in existing if path.resolve() in self.inputs), None):
            raise ImageError(f"{harmed} is an input; choose another output")
        if len(existing) == len(job.files) and not self.force:
            return False
        # The same seed gives the same bytes: files of an interrupted run are compared, not trusted.
        contents, density = _render(job, self.rain, self.seed)
        for path in existing:
            if not self.force and path.read_bytes() != contents[path]:
                raise ExistsError(f"{path} already exists and is another picture")
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, content)
        if job.mask is not None:
            self.densities.append((job.name, self.rain.name, *density))
        return True


def _render(
    job: SynthJob, rain: RainSource, seed: int
) -> tuple[dict[Path, bytes], tuple[str, str]]:
    """Return all files of one picture, the rainy one last, and the rain's coverage and density."""
    picture = read(job.source)
    if job.clean is None:
        check_format(picture, format_of(job.rainy))  # before the rain rather than after it
    size = (picture.pixels.shape[0], picture.pixels.shape[1])
    name = hashlib.sha256(job.name.encode("utf-8", "surrogateescape")).digest()
    generator = generator_for(seed, int.from_bytes(name[:8], "big"))
    drops = sample(rain.preset, size, generator, bank=rain.bank)
    # With rain on it a picture is no result of derain's any more.
    rainy = replace(picture, pixels=compose_pixels(picture.pixels, drops), is_result=False)
    contents: dict[Path, bytes] = {}
    for path, plane in ((job.layer, drops.layer), (job.mask, drops.mask)):
        if path is not None:
            levels = to_levels(plane.float().permute(1, 2, 0).numpy(), np.dtype(np.uint8))
            contents[path] = encode(Picture(np.repeat(levels, 3, axis=2), grey=True), "PNG")
    # A pair is of pixels alone; a picture that is made for itself keeps what its file held.
    if job.clean is not None:
        contents[job.clean] = encode(Picture(picture.pixels), "PNG")
        rainy = Picture(rainy.pixels)
    # The rainy picture is written last: where it exists, the others do.
    contents[job.rainy] = encode(rainy, format_of(job.rainy))
    return contents, (f"{float(drops.coverage):.4f}", drops.density)


def _add_densities(table: Path, rows: Sequence[tuple[str, ...]]) -> Exception | None:
    """Write the table with these rows in place of older ones of the same pictures.

    Returns:
        Why the table could not be written; None if it was.
    """
    try:
        text = table.read_text(encoding="utf-8", errors="surrogateescape") if table.exists() else ""
        old = [tuple(row) for row in csv.reader(io.StringIO(text)) if row]
        if old and old[0] != DENSITY_COLUMNS:
            columns = ", ".join(DENSITY_COLUMNS)
            return DerainError(f"is another table; expected the columns {columns}; move it away")
        kept = {row[0]: row for row in (*old[1:], *rows)}
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([DENSITY_COLUMNS, *kept.values()])
        write_file(table, written.getvalue().encode("utf-8", "surrogateescape"))
    except (OSError, csv.Error) as error:
        return error
    return None
