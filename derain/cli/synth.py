"""``derain synth`` makes rainy pictures from clean ones."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from derain.cli.console import (
    check_folder,
    complain,
    line_of,
    one_line_errors,
    result,
    say,
    show_traceback,
)
from derain.cli.options import ForceOption
from derain.cli.progress import Bars
from derain.cli.shown import say_skipped, say_skipped_count
from derain.cli.startup import lasting
from derain.extras import require

CleanArgument = Annotated[
    Path, typer.Argument(metavar="CLEAN", help="Clean picture, or a folder of clean pictures.")
]
OutputOption = Annotated[
    str, typer.Option("-o", "--output", help="Folder for rainy/ and clean/, or one picture.")
]
PresetOption = Annotated[str, typer.Option(help="Kind of rain. An unknown name lists all kinds.")]
TexturesOption = Annotated[
    Path | None,
    typer.Option(help="Folder of grey streak textures, for presets that use textures."),
]
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed gives the same rain.")]
PartsOption = Annotated[
    bool,
    typer.Option("--parts", help="For a folder, also write layer/, mask/ and density.csv."),
]


def synth(
    clean: CleanArgument,
    output: OutputOption,
    preset: PresetOption = "rain100l",
    textures: TexturesOption = None,
    seed: SeedOption = 0,
    parts: PartsOption = False,
    force: ForceOption = False,
) -> None:
    """Make synthetic rain on clean pictures.

    For a folder, derain writes OUTPUT/rainy/NAME.png and OUTPUT/clean/NAME.png, which derain train
    and derain evaluate read.
    """
    from derain.files import printable

    with one_line_errors():
        with lasting():
            require("torch", "derain synth")
            from derain.synth import find_rain, plan, synthesise

        planned = plan(clean, output, parts=parts)
        single = planned.jobs[0].clean is None
        folder = Path(output).absolute()
        check_folder(folder.parent if single else folder, force=True)
        rain = find_rain(preset, textures)
        if rain.preset.has_textures and rain.bank is None:
            say(f"{preset}: rain is drawn without streak textures; --textures DIR uses them")
    failed, skips, is_only = False, 0, len(planned.jobs) == 1
    with (
        Bars() as bars,
        closing(synthesise(planned, rain, seed=seed, force=force, progress=bars)) as made,
    ):
        for one in made:
            error = one.error
            if one.status == "made":
                try:
                    result(str(one.target))
                except OSError as full:  # the pictures are made all the same
                    error = full
            if error is not None:
                skipped = one.status == "skipped"
                show_traceback(error)
                line = f"{printable(one.source)}: {line_of(error)}"
                if skipped:
                    say_skipped(line, is_only=is_only)
                else:
                    complain(f"error: {line}")
                skips += skipped
                failed |= not skipped
    if not is_only:
        say_skipped_count(skips)
    if failed:
        raise typer.Exit(1)
