"""``derain export`` writes weights as a file for other runtimes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.console import check_file, one_line_errors, result, say
from derain.cli.options import ForceOption, WeightsArgument
from derain.cli.startup import lasting
from derain.extras import require
from derain.files import is_plain_name, printable

if TYPE_CHECKING:
    from derain.weights import Card

SUFFIX_OF = {"onnx": ".onnx", "openvino": ".xml"}

ALREADY = "already exported from these weights; --force exports them again"
"""What is said instead of doing it twice."""

ToOption = Annotated[str, typer.Option(help=f"Runtime: {' or '.join(SUFFIX_OF)}.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="File to write. Default: NAME.onnx or NAME.xml."),
]
Int8Option = Annotated[
    Path | None,
    typer.Option(
        "--int8",
        metavar="CLEAN",
        help="Compute in 8-bit integers; ranges are measured on a folder of clean pictures.",
    ),
]


def export(
    model: WeightsArgument,
    to: ToOption = "onnx",
    output: OutputOption = None,
    int8: Int8Option = None,
    force: ForceOption = False,
) -> None:
    """Export weights for ONNX Runtime or OpenVINO, and check the results.

    Use the file with derain photo.jpg -m FILE. OpenVINO has two files, NAME.xml and NAME.bin. With
    --int8, operations are computed in integers as long as results agree with float32 to 45 dB on
    synthetic rain. This takes minutes.
    """
    from typing import cast

    from derain.errors import ExistsError, UsageError, check_choice
    from derain.weights.catalogue import check_exists

    with one_line_errors():
        check_choice(to, SUFFIX_OF, "to")
        if output and output.suffix != SUFFIX_OF[to]:
            raise UsageError(
                f"expected a name ending in {SUFFIX_OF[to]}", option="output", value=output
            )
        check_exists(model)
        with lasting():
            require("torch", "derain export")
            from derain.engines import export as exporter
            from derain.engines import quantize
            from derain.weights.loading import find

        network, card = find(model)
        target = output or Path(_name_for(model, card) + SUFFIX_OF[to])
        kind = cast("exporter.Target", to)
        # Everything that can be refused is refused before the work, which takes minutes for int8.
        parts = (target,) if to == "onnx" else (target, target.with_suffix(".bin"))
        if int8 is None and not force and all(part.is_file() for part in parts):
            if not exporter.is_exported_from(network, card, target):
                raise ExistsError(f"{target} already exists and holds something else")
            say(f"{printable(target)}: {ALREADY}")
            result(str(target))
            return
        for path in parts:
            check_file(path, force=force)
        crops = None if int8 is None else quantize.Crops.of(int8)
        # What is written is executed and compared with PyTorch before it gets its name.
        with exporter.drafted(target) as draft:
            if crops is None:
                exporter.export(network, card, draft, kind)
                parity = exporter.check_parity(network, draft, name=target)
                found = f"{parity:.0e} of 1 from PyTorch in the mean"
            else:
                found = str(quantize.export_int8(network, card, draft, kind, crops))
                quantize.check_likeness(network, draft, crops.held_back, name=target)
    found += f"; sizes are free, sides multiples of {network.tiling.multiple}"
    say(f"{printable(target)}: {found}")
    result(str(target))


def _name_for(model: str, card: "Card") -> str:
    """Return what an exported file is called without its suffix: as its card, or as its weights."""
    # Whoever wrote a card may have put anything there, such as a path.
    return card.name if is_plain_name(card.name) else Path(model).absolute().stem
