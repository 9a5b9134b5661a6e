"""derain train: a recipe and pictures in, weights out."""

import math
from pathlib import Path
from typing import Annotated

import typer

from derain.cli.console import DEVICE_HELP, LAYOUT_HELP, one_line_errors, progress_bar, say
from derain.errors import UsageError

MANY = 200
"""Pictures that take some seconds to look at."""


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe; a wrong one lists them all.")],
    data: Annotated[
        Path,
        typer.Option(
            "--data", help="Clean pictures, or rainy/ and clean/ pairs; or train/ and val/ of them."
        ),
    ],
    validation: Annotated[
        Path | None,
        typer.Option("--val", help="Pictures to validate on. Default: val/ in the data."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the run. Default: runs/RECIPE.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint; bit for bit on a CPU.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of the recipe; may be repeated.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help=LAYOUT_HELP)] = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Even if validation pictures are trained on too.")
    ] = False,
    branch: Annotated[
        Path | None,
        typer.Option(
            "--branch",
            help=(
                "Run with schedule=trunk: from its checkpoint, the rate falls in a tenth of its"
                " steps."
            ),
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so long, with a checkpoint for --resume.")
    ] = None,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
    dtype: Annotated[
        str,
        typer.Option(help="auto (bfloat16 where the device computes in it), float32 or bfloat16."),
    ] = "auto",
) -> None:
    """Train a network from a recipe.

    The run's folder gets best.safetensors, which derain run -m takes, last.pt to resume from, and
    log.jsonl. A run whose validation pictures are among the training pictures, be they cropped,
    flipped or resized, is refused.
    """
    from derain.data import layout_named
    from derain.engines import choose_device, choose_training_dtype
    from derain.recipes import find_recipe, override
    from derain.train import BEST, CHECKPOINT, Run, branch_recipe, checkpoint_recipe, describe
    from derain.train import train as train_recipe

    with one_line_errors():
        chosen = find_recipe(recipe, {} if branch else _overrides(settings or []))
        folder = output or Path("runs") / (f"{chosen.name}-branch" if branch else chosen.name)
        if branch and resume:  # the trunk may have grown since: the branch keeps to its own plan
            held, _ = checkpoint_recipe(folder / CHECKPOINT)
            chosen = override(held, _overrides(settings or []))
        elif branch:
            chosen = branch_recipe(branch, _overrides(settings or []))
        if chosen.name != recipe:
            raise UsageError(
                f"is a trunk of {chosen.name}; expected one of {recipe}",
                option="branch",
                value=branch,
            )
        chosen_layout = layout_named(layout)
        train_folder, validation_folder = _folders(data, validation)
        chosen_device = choose_device(device)
        run = Run(
            train_folder,
            validation_folder,
            folder,
            chosen_device,
            dtype=choose_training_dtype(dtype, chosen_device),
            minutes=_positive(minutes),
            layout=chosen_layout,
            allow_leak=allow_leak,
        )
        say(
            f"{chosen.name}: {chosen.source}; {chosen.steps} steps on {run.device} in"
            f" {run.number_format}, data {train_folder}"
        )
        try:
            with progress_bar() as bar:
                task = bar.add_task("looking for leaks", total=None, visible=False)

                def look(_: str, done: int, total: int) -> None:
                    bar.update(task, completed=done, total=total, visible=done < total)
                    if done == 1 and total > MANY:
                        say(f"looking for the validation pictures among {total} pictures")

                records = train_recipe(
                    chosen,
                    run,
                    resume=resume,
                    on_progress=look,
                    on_note=lambda note: say(f"warning: {note}"),
                )
                step = 0
                for record in records:
                    step = record["step"]
                    say(describe(record))
                if 0 < step < chosen.steps:
                    say(f"stopped at step {step} of {chosen.steps}; --resume goes on")
        except KeyboardInterrupt:
            say(f"stopped; --resume goes on from the last checkpoint, if there was one ({run.out})")
            raise typer.Exit(130) from None
    if (run.out / BEST).exists():  # a short run may not have come to a validation
        typer.echo(str(run.out / BEST))


def _positive(minutes: float | None) -> float | None:
    if minutes is not None and not 0 < minutes < math.inf:
        raise typer.BadParameter(f"{minutes}: expected a number over 0", param_hint="--minutes")
    return minutes


def _overrides(settings: list[str]) -> dict[str, str]:
    pairs = [setting.partition("=") for setting in settings]
    wrong = [setting for setting, (_, sign, _) in zip(settings, pairs, strict=True) if not sign]
    if wrong:
        raise UsageError("expected KEY=VALUE, such as lr=3e-4", option="set", value=wrong[0])
    return {key: value for key, _, value in pairs}


def _folders(data: Path, validation: Path | None) -> tuple[Path, Path]:
    """Where to train and where to validate: ``train`` and ``val`` of the data unless said
    otherwise.
    """
    train_folder = data / "train" if (data / "train").is_dir() else data
    if validation is None:
        validation = data / "val"
    if not validation.is_dir() and not validation.is_file():
        raise FileNotFoundError(
            f"{validation}: no pictures to validate on; name a folder with --val"
        )
    if validation.resolve().is_relative_to(train_folder.resolve()):
        raise UsageError(
            f"lies inside the training pictures in {train_folder}; move these to {data / 'train'}",
            option="val",
            value=validation,
        )
    return train_folder, validation
