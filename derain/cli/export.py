"""derain export: weights as a file for other runtimes."""

from pathlib import Path
from typing import Annotated

import typer

from derain.cli.console import check_file, one_line_errors, result, say
from derain.cli.options import ForceOption, WeightsArgument
from derain.cli.startup import lasting
from derain.extras import require

SUFFIX_OF = {"onnx": ".onnx", "openvino": ".xml"}


ToOption = Annotated[str, typer.Option(help=f"{' or '.join(SUFFIX_OF)}.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Default: its name with .onnx or .xml, here."),
]
Int8Option = Annotated[
    Path | None,
    typer.Option(
        "--int8",
        metavar="CLEAN",
        help="In 8 bits where it bears that; from a folder of clean pictures.",
    ),
]


def export(
    model: WeightsArgument,
    to: ToOption = "onnx",
    output: OutputOption = None,
    int8: Int8Option = None,
    force: ForceOption = False,
) -> None:
    """Write weights as a file that ONNX Runtime or OpenVINO execute, and check its results.

    derain photo.jpg -m FILE uses it. OpenVINO's is two files, NAME.xml and NAME.bin. With --int8
    most of it is computed in integers, so that the result is within 45 dB of float32's on clean
    pictures with rain of our own; it takes minutes.
    """
    from typing import cast

    from derain.errors import ExistsError, UsageError, did_you_mean
    from derain.weights.catalogue import check_exists

    with one_line_errors():
        if to not in SUFFIX_OF:
            expected = f"expected one of {', '.join(SUFFIX_OF)}{did_you_mean(to, SUFFIX_OF)}"
            raise UsageError(expected, option="to", value=to)
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
        target = output or Path(card.name + SUFFIX_OF[to])
        kind = cast("exporter.Target", to)
        # Everything that can be refused is refused before the work, which takes minutes for int8.
        parts = (target,) if to == "onnx" else (target, target.with_suffix(".bin"))
        if int8 is None and not force and all(part.is_file() for part in parts):
            if not exporter.is_exported_from(network, card, target):
                raise ExistsError(f"{target} already exists and holds something else")
            say(f"{target}: already exported from these weights; --force exports them again")
            result(str(target))
            return
        for path in parts:
            check_file(path, force=force)
        # What is written is executed and compared with PyTorch before it gets its name.
        with exporter.drafted(target) as draft:
            if int8 is None:
                exporter.export(network, card, draft, kind)
                parity = exporter.check_parity(network, draft, name=target)
                found = f"{parity:.0e} of 1 from PyTorch in the mean"
            else:
                crops = quantize.Crops.of(int8)
                found = str(quantize.export_int8(network, card, draft, kind, crops))
                quantize.check_likeness(network, draft, crops.held_back, name=target)
    say(f"{target}: {found}; sizes are free, sides multiples of {network.tiling.multiple}")
    result(str(target))
