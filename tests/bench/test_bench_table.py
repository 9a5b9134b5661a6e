"""Timings as a table."""

from dataclasses import replace

from derain.bench import Case, Timing, to_markdown


def test_a_row_for_each_case_and_the_ceiling() -> None:
    case = Case("petrichor", "onnx", "float32", "cpu", 1024, 683)
    timing = Timing(case, 0.5, 3e9, 12e9, 250_000_000, 73.21)
    unknown = replace(timing, operations=None, peak_memory=None, psnr=None, ceiling=13e9)
    assert to_markdown([timing, unknown]).splitlines() == [
        "| model | engine | number format | size | seconds | megapixels a second | peak memory, MB"
        " | of a matrix product's rate | PSNR to float32, dB |",
        "|---|---|---|---|---|---|---|---|---|",
        "| `petrichor` | onnx | float32 | 1024x683 | 0.500 | 1.40 | 250 | 25% | 73.2 |",
        "| `petrichor` | onnx | float32 | 1024x683 | 0.500 | 1.40 |  |  |  |",
        "",
        "Ceiling: matrix product, 13 GFLOP/s, in turns with the network.",
    ]
