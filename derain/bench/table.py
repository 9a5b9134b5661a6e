"""Timings as a Markdown table."""

from collections.abc import Sequence

from derain.bench.cases import Timing

HEADINGS = (
    "model",
    "engine",
    "number format",
    "size",
    "seconds",
    "megapixels a second",
    "peak memory, MB",
    "of a matrix product's rate",
    "PSNR to float32, dB",
)


def to_markdown(timings: Sequence[Timing]) -> str:
    """Return a Markdown table of timings, with a row for each, and the ceiling below it."""
    ceilings = [timing.ceiling for timing in timings if timing.ceiling is not None]
    lines = [_row(HEADINGS), "|" + "---|" * len(HEADINGS), *map(_timing_row, timings), ""]
    if ceilings:
        rate = max(ceilings) / 1e9
        lines.append(f"Ceiling: matrix product, {rate:.0f} GFLOP/s, in turns with the network.")
    return "\n".join(lines)


def _timing_row(timing: Timing) -> str:
    case = timing.case
    return _row(
        (
            f"`{case.model}`",
            case.engine,
            case.dtype,
            f"{case.width}x{case.height}",
            f"{timing.seconds:.3f}",
            f"{timing.megapixels_per_second:.2f}",
            "" if timing.peak_memory is None else f"{timing.peak_memory / 1e6:.0f}",
            "" if timing.share is None else f"{timing.share:.0%}",
            "" if timing.psnr is None else f"{timing.psnr:.1f}",
        )
    )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
