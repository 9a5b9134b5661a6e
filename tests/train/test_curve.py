"""The curve of a run: an SVG that can be read, whatever the log holds."""

import math
from typing import Any
from xml.etree import ElementTree

import pytest

from derain.train.curve import LETTERS, POINTS, WIDTH, curve_svg, log_ticks, nice_ticks

SVG = "{http://www.w3.org/2000/svg}"


def record(step: int, loss: float, **scores: float) -> dict[str, Any]:
    found = {"step": step, "seconds": 1.0, "lr": 1e-3, "loss": loss}
    mean = sum(scores.values()) / max(len(scores), 1)
    return found | ({"validation": scores | {"mean": mean}} if scores else {})


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def lines(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (point.split(",") for point in line.split())]
        for element in ElementTree.fromstring(svg).iter(f"{SVG}polyline")
        if (line := element.get("points"))
    ]


def test_each_kind_of_rain_has_a_panel_and_higher_is_higher() -> None:
    svg = curve_svg(
        [
            record(50, 0.5),
            record(100, 0.4, light=30, heavy=20),
            record(200, 0.2, light=31, heavy=19),
        ],
        "petrichor, step 200 of 1000",
    )
    shown = texts(svg)
    assert shown[0] == "petrichor, step 200 of 1000"
    assert {"mean 25", "light 31", "heavy 19", "loss 0.2"} <= set(shown)
    mean, light, heavy, loss = lines(svg)
    assert [len(line) for line in (mean, light, heavy, loss)] == [2, 2, 2, 3]
    assert mean[0][1] == mean[1][1]
    assert light[1][1] < light[0][1]  # down is larger
    assert heavy[1][1] > heavy[0][1]
    assert [x for x, _ in loss] == sorted(x for x, _ in loss)
    assert loss[-1][0] == light[-1][0] <= WIDTH


def test_many_kinds_share_a_panel() -> None:
    kinds = {f"kind{k}": 20.0 + k for k in range(7)}
    svg = curve_svg([record(k, 0.1, **kinds) for k in (1, 2)], "run")
    assert sum("PSNR" in text for text in texts(svg)) == 2


def test_odd_logs_are_drawn_all_the_same() -> None:
    one = texts(curve_svg([record(3, 0.0)], "one"))
    assert one.count("no values yet") == 1  # of validations
    assert "loss 0" in one
    assert len(ElementTree.fromstring(curve_svg([], "none yet"))) > 1
    odd = curve_svg([record(k, 0.1, **{"<a> & b\n" + "x" * 40: 30.0}) for k in (1, 2)], "a & <b>")
    assert texts(odd)[0] == "a & <b>"
    assert any(text.startswith("<a> & b\\n") and "…" in text for text in texts(odd))
    assert max(len(text.split(" 30")[0]) for text in texts(odd) if "…" in text) == LETTERS
    flat = curve_svg([record(k, 0.1, rain=30.0) for k in (1, 2)], "flat")
    assert all(math.isfinite(y) for line in lines(flat) for _, y in line)
    unfinished = curve_svg([record(1, math.nan), record(2, 0.5), record(3, 0.4)], "nan")
    assert len(lines(unfinished)[-1]) == 2


def test_long_runs_give_short_files() -> None:
    svg = curve_svg([record(50 * k, 1 / k) for k in range(1, 20_001)], "long")
    (loss,) = lines(svg)
    assert 0.5 * POINTS < len(loss) <= POINTS
    assert len(svg) < 30_000


@pytest.mark.parametrize(
    ("low", "high"), [(27.1, 31.4), (5, 5), (0, 0), (-1, 1), (1e-5, 3e-5), (0, 1e6)]
)
def test_ticks_enclose_the_values(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low <= high <= ticks[-1]
    assert 2 <= len(ticks) <= 8
    assert len(set(ticks)) == len(ticks)
    if low > 0:
        decades = log_ticks(low, high)
        assert decades[0] <= low <= high <= decades[-1]
        assert 2 <= len(decades) <= 14
