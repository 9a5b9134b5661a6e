"""Options that several verbs share, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

from derain.cli.console import DEVICE_HELP, DTYPE_HELP, ENGINE_HELP, LAYOUT_HELP, TILE_HELP

ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
DeviceOption = Annotated[str, typer.Option(help=DEVICE_HELP)]
TrainingDeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
DtypeOption = Annotated[str, typer.Option(help=DTYPE_HELP)]
EngineOption = Annotated[str, typer.Option(help=ENGINE_HELP)]
TileOption = Annotated[int | None, typer.Option(help=TILE_HELP)]
OverlapOption = Annotated[
    int | None,
    typer.Option(help="Pixels by which tiles overlap. Default: the network's own."),
]
LayoutOption = Annotated[str | None, typer.Option(help=LAYOUT_HELP)]
RainyOption = Annotated[
    Path | None,
    typer.Option(
        "--rainy", metavar="DIR", help="Folder of rainy pictures. Use it together with --clean."
    ),
]
CleanOption = Annotated[
    Path | None,
    typer.Option(
        "--clean",
        metavar="DIR",
        help="Folder of the clean pictures, with the same names as in --rainy.",
    ),
]
WeightsArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="Name of shipped weights, or a checkpoint file.")
]
