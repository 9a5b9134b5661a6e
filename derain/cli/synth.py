"""derain synth: clean pictures in, rainy pairs out."""

from pathlib import Path
from typing import Annotated

import typer

from derain.cli.console import one_line_errors, progress_bar, result, say


def synth(
    clean: Annotated[Path, typer.Argument(metavar="CLEAN", help="A clean picture, or a folder of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for rainy/ and clean/; or one picture.")],
    preset: Annotated[str, typer.Option(help="Kind of rain.")] = "rain100l",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rain.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Make rain on clean pictures.

    For a folder, OUTPUT gets rainy/NAME.png and clean/NAME.png, as derain train and derain evaluate read them.
    """
    from derain.batch import reason
    from derain.data import clean_pictures, generator_for
    from derain.images import ImageError, Picture, encode, format_of, read, write_file
    from derain.rain import PRESETS, rain_on

    with one_line_errors():
        if preset not in PRESETS:
            raise ValueError(f"--preset {preset}: expected one of {', '.join(PRESETS)}")
        single = clean.is_file()
        sources = [clean] if single else clean_pictures(clean)
        targets = _targets(sources, None if single else clean, output)
    failed = 0
    taken: set[Path] = set()
    inputs = {path.resolve() for path in sources}
    with progress_bar() as bar:
        task = bar.add_task("pictures", total=len(sources))
        for k, (source, (rainy_path, clean_path)) in enumerate(zip(sources, targets, strict=True)):
            bar.advance(task)
            try:
                if rainy_path in taken:
                    raise ImageError(f"another picture became {rainy_path}; give them names of their own")
                taken.add(rainy_path)
                there = [path for path in (rainy_path, clean_path) if path and path.exists()]
                if harmed := next((path for path in there if path.resolve() in inputs), None):
                    raise ImageError(f"{harmed} is an input; choose another output")
                if there and not force:
                    say(f"skipped {source}: {there[0]} is there already; --force overwrites it")
                    continue
                picture = read(source)
                rainy = picture.with_pixels(rain_on(picture.pixels, PRESETS[preset], generator_for(seed, k)))
                rainy_path.parent.mkdir(parents=True, exist_ok=True)
                if clean_path is not None:
                    clean_path.parent.mkdir(parents=True, exist_ok=True)
                    write_file(clean_path, encode(Picture(picture.pixels), "PNG"))
                    rainy = Picture(rainy.pixels)
                write_file(rainy_path, encode(rainy, format_of(rainy_path)))
            except (ImageError, OSError) as error:
                say(f"error: {source}: {reason(error)}")
                failed += 1
            else:
                result(str(rainy_path))
    if failed:
        raise typer.Exit(1)


def _targets(sources: list[Path], root: Path | None, output: Path) -> list[tuple[Path, Path | None]]:
    """Where each rainy picture goes, and its clean twin if pairs are made."""
    from derain.images import SUFFIXES

    if root is None and output.suffix.lower() in SUFFIXES and not output.is_dir():
        return [(output, None)]
    names = [path.relative_to(root).with_suffix(".png") if root else Path(f"{path.stem}.png") for path in sources]
    return [(output / "rainy" / name, output / "clean" / name) for name in names]
