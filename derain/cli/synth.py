"""derain synth: clean pictures in, rainy pairs out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.console import one_line_errors, progress_bar, result, say

if TYPE_CHECKING:
    from derain.rain import TextureBank


def synth(
    clean: Annotated[
        Path, typer.Argument(metavar="CLEAN", help="A clean picture, or a folder of them.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for rainy/ and clean/; or one picture.")
    ],
    preset: Annotated[
        str, typer.Option(help="Kind of rain; a wrong one lists them all.")
    ] = "rain100l",
    textures: Annotated[
        Path | None,
        typer.Option(help="Folder of grey streak textures, for presets with layers of them."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rain.")] = 0,
    parts: Annotated[
        bool,
        typer.Option(
            "--parts", help="In a folder also layer/ and mask/ of the rain, and density.csv."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Make rain on clean pictures.

    For a folder, OUTPUT gets rainy/NAME.png and clean/NAME.png, as derain train and derain evaluate
    read them.
    """
    from derain.data import clean_pictures
    from derain.errors import UsageError, reason
    from derain.files import printable
    from derain.images import ImageError
    from derain.rain import PRESETS, load_textures

    with one_line_errors():
        if preset not in PRESETS:
            raise UsageError(f"expected one of {', '.join(PRESETS)}", option="preset", value=preset)
        if textures and not PRESETS[preset].has_textures:
            with_them = ", ".join(name for name, known in PRESETS.items() if known.has_textures)
            raise UsageError(
                f"{preset} has no layers of textures; expected one of {with_them}",
                option="textures",
            )
        bank = load_textures(textures) if textures else None
        if bank is None and PRESETS[preset].has_textures:
            say(
                f"{preset}: all of its rain is drawn; with --textures DIR some is cut from streak"
                " textures"
            )
        single = clean.is_file()
        sources = [clean] if single else clean_pictures(clean)
        targets = list(_targets(sources, None if single else clean, output, parts=parts))
        if parts and targets[0].clean is None:
            raise UsageError(f"-o {output} is one picture; expected a folder", option="parts")
    made = _Made(preset, seed, force, {path.resolve() for path in sources}, bank)
    failed = False
    with progress_bar() as bar:
        task = bar.add_task("pictures", total=len(sources))
        try:
            for k, target in enumerate(targets):
                bar.advance(task)
                try:
                    made.add(target, k)
                except (ImageError, OSError) as error:
                    say(f"error: {printable(target.source)}: {reason(error)}")
                    failed = True
        finally:
            if made.densities:
                failed |= not _add_densities(output / "density.csv", made.densities)
    if failed:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Target:
    """A clean picture and where what is made of it goes; None for what is not asked for."""

    source: Path
    name: str
    rainy: Path
    clean: Path | None = None
    layer: Path | None = None
    mask: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All that are written."""
        return [path for path in (self.rainy, self.clean, self.layer, self.mask) if path]


@dataclass
class _Made:
    """What one run writes: nothing over its own inputs, nothing else that is there unless
    forced.
    """

    preset: str
    seed: int
    force: bool
    inputs: set[Path]
    bank: "TextureBank | None" = None
    taken: set[Path] = field(default_factory=set)
    densities: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, target: _Target, k: int) -> None:
        """Makes the k-th picture, or what is missing of it.

        Raises:
            ImageError: If it cannot be read, or what is there is another picture, or an input.
            OSError: If files cannot be written.
        """
        from derain.files import write_file
        from derain.images import ImageError

        if target.rainy in self.taken:
            raise ImageError(f"another picture became {target.rainy}; give them names of their own")
        self.taken.add(target.rainy)
        there = [path for path in target.files if path.exists()]
        if harmed := next((path for path in there if path.resolve() in self.inputs), None):
            raise ImageError(f"{harmed} is an input; choose another output")
        if len(there) == len(target.files) and not self.force:
            say(f"skipped {target.source}: {target.rainy} is there already; --force overwrites it")
            return
        contents, density = _make(target, self.preset, (self.seed, k), self.bank)
        for path in there:
            if not self.force and path.read_bytes() != contents[path]:
                raise ImageError(
                    f"{path} is there already and another picture; --force overwrites it"
                )
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, content)
        if target.mask is not None:
            self.densities.append((target.name, self.preset, *density))
        result(str(target.rainy))


def _make(
    target: _Target, preset: str, seed: tuple[int, int], bank: "TextureBank | None"
) -> tuple[dict[Path, bytes], tuple[str, str]]:
    """All files of one picture, the rainy one last; the rain's coverage and density."""
    from derain.images import Picture, encode, format_of, read
    from derain.rain import PRESETS, compose_pixels, generator_for, sample

    picture = read(target.source)
    size = (picture.pixels.shape[0], picture.pixels.shape[1])
    drops = sample(PRESETS[preset], size, generator_for(*seed), bank=bank)
    rainy = picture.with_pixels(compose_pixels(picture.pixels, drops))
    contents: dict[Path, bytes] = {}
    for path, part in (
        (target.layer, drops.layer.clamp(max=1) * 255),
        (target.mask, drops.mask * 255),
    ):
        if path is not None:
            grey = part.round().byte().permute(1, 2, 0).expand(-1, -1, 3).numpy()
            contents[path] = encode(Picture(grey, grey=True), "PNG")
    if target.clean is not None:
        contents[target.clean] = encode(Picture(picture.pixels), "PNG")
        rainy = Picture(rainy.pixels)
    contents[target.rainy] = encode(rainy, format_of(target.rainy))
    return contents, (f"{float(drops.coverage):.4f}", drops.density)


_COLUMNS = ("picture", "preset", "coverage", "density")


def _add_densities(table: Path, rows: list[tuple[str, ...]]) -> bool:
    """Writes the table, with these rows in place of older ones of the same pictures; whether that
    worked.
    """
    import csv
    import io

    from derain.files import write_file

    try:
        text = table.read_text(encoding="utf-8", errors="surrogateescape") if table.exists() else ""
        old = [tuple(row) for row in csv.reader(io.StringIO(text)) if row]
        if old and old[0] != _COLUMNS:
            say(
                f"error: {table}: is another table; expected the columns {', '.join(_COLUMNS)};"
                " move it away"
            )
            return False
        kept = {row[0]: row for row in (*old[1:], *rows)}
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([_COLUMNS, *kept.values()])
        write_file(table, written.getvalue().encode("utf-8", "surrogateescape"))
    except (OSError, csv.Error) as error:
        say(f"error: {table}: {error}")
        return False
    return True


def _targets(
    sources: list[Path], root: Path | None, output: Path, *, parts: bool
) -> Iterator[_Target]:
    """Where each rainy picture goes, and its clean twin if pairs are made."""
    from derain.images import SUFFIXES

    if root is None and output.suffix.lower() in SUFFIXES and not output.is_dir():
        yield _Target(sources[0], output.name, output)
        return
    for source in sources:
        name = source.relative_to(root).with_suffix(".png") if root else Path(f"{source.stem}.png")
        of_rain = (
            {"layer": output / "layer" / name, "mask": output / "mask" / name} if parts else {}
        )
        yield _Target(
            source, name.as_posix(), output / "rainy" / name, output / "clean" / name, **of_rain
        )
