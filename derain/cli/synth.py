"""derain synth: clean pictures in, rainy pairs out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from derain.cli.console import one_line_errors, progress_bar, result, say


def synth(
    clean: Annotated[Path, typer.Argument(metavar="CLEAN", help="A clean picture, or a folder of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for rainy/ and clean/; or one picture.")],
    preset: Annotated[str, typer.Option(help="Kind of rain; a wrong one lists them all.")] = "rain100l",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rain.")] = 0,
    parts: Annotated[
        bool, typer.Option("--parts", help="In a folder also layer/ and mask/ of the rain, and density.csv.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Make rain on clean pictures.

    For a folder, OUTPUT gets rainy/NAME.png and clean/NAME.png, as derain train and derain evaluate read them.
    """
    from derain.batch import reason
    from derain.data import clean_pictures
    from derain.images import ImageError
    from derain.rain import PRESETS

    with one_line_errors():
        if preset not in PRESETS:
            raise ValueError(f"--preset {preset}: expected one of {', '.join(PRESETS)}")
        single = clean.is_file()
        sources = [clean] if single else clean_pictures(clean)
        targets = list(_targets(sources, None if single else clean, output, parts=parts))
        if parts and targets[0].clean is None:
            raise ValueError(f"--parts: -o {output} is one picture; expected a folder")
    failed = False
    densities: list[tuple[str, ...]] = []
    taken: set[Path] = set()
    inputs = {path.resolve() for path in sources}
    with progress_bar() as bar:
        task = bar.add_task("pictures", total=len(sources))
        for k, target in enumerate(targets):
            bar.advance(task)
            try:
                if target.rainy in taken:
                    raise ImageError(f"another picture became {target.rainy}; give them names of their own")
                taken.add(target.rainy)
                if target.is_done(inputs) and not force:
                    say(f"skipped {target.source}: {target.there()[0]} is there already; --force overwrites it")
                    continue
                densities.append((target.name, preset, *_make(target, preset, (seed, k))))
            except (ImageError, OSError) as error:
                say(f"error: {target.source}: {reason(error)}")
                failed = True
            else:
                result(str(target.rainy))
    if parts and densities:
        failed |= not _add_densities(output / "density.csv", densities)
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

    def there(self) -> list[Path]:
        """Which files exist already."""
        return [path for path in (self.rainy, self.clean, self.layer, self.mask) if path and path.exists()]

    def is_done(self, inputs: set[Path]) -> bool:
        """Some files exist.

        Raises:
            ImageError: If one of them is an input, which is never overwritten.
        """
        from derain.images import ImageError

        if harmed := next((path for path in self.there() if path.resolve() in inputs), None):
            raise ImageError(f"{harmed} is an input; choose another output")
        return bool(self.there())


def _make(target: _Target, preset: str, seed: tuple[int, int]) -> tuple[str, str]:
    """Writes all files of one picture; the rain's coverage and density."""
    from derain.data import generator_for
    from derain.images import Picture, encode, format_of, read, write_file, write_image
    from derain.rain import PRESETS, compose_pixels, sample

    picture = read(target.source)
    size = (picture.pixels.shape[0], picture.pixels.shape[1])
    drops = sample(PRESETS[preset], size, generator_for(*seed))
    rainy = picture.with_pixels(compose_pixels(picture.pixels, drops))
    for path in (target.rainy, target.clean, target.layer, target.mask):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if target.layer is not None:
        write_image(target.layer, (drops.layer[0].clamp(max=1) * 255).round().byte().numpy())
    if target.mask is not None:
        write_image(target.mask, drops.mask[0].byte().mul(255).numpy())
    if target.clean is not None:
        write_file(target.clean, encode(Picture(picture.pixels), "PNG"))
        rainy = Picture(rainy.pixels)
    write_file(target.rainy, encode(rainy, format_of(target.rainy)))
    return f"{float(drops.coverage):.4f}", drops.density


def _add_densities(table: Path, rows: list[tuple[str, ...]]) -> bool:
    """Writes the table, with these rows in place of older ones of the same pictures; whether that worked."""
    import csv
    import io

    from derain.images import write_file

    try:
        old = csv.reader(io.StringIO(table.read_text(encoding="utf-8", errors="surrogateescape"))) if table.exists() else []
        kept = {row[0]: tuple(row) for row in list(old)[1:] if row} | {row[0]: row for row in rows}
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("picture", "preset", "coverage", "density"), *kept.values()])
        write_file(table, text.getvalue().encode("utf-8", "surrogateescape"))
    except (OSError, csv.Error) as error:
        say(f"error: {table}: {error}")
        return False
    return True


def _targets(sources: list[Path], root: Path | None, output: Path, *, parts: bool) -> Iterator[_Target]:
    """Where each rainy picture goes, and its clean twin if pairs are made."""
    from derain.images import SUFFIXES

    if root is None and output.suffix.lower() in SUFFIXES and not output.is_dir():
        yield _Target(sources[0], output.name, output)
        return
    for source in sources:
        name = source.relative_to(root).with_suffix(".png") if root else Path(f"{source.stem}.png")
        of_rain = {"layer": output / "layer" / name, "mask": output / "mask" / name} if parts else {}
        yield _Target(source, name.as_posix(), output / "rainy" / name, output / "clean" / name, **of_rain)
