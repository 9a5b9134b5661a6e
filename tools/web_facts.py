"""Write what the page in the browser has to know of the library: models, and how tiles are cut.

    python -m tools.web_facts

`web/src/facts.json` gets the models with their facts, and for each a small picture with what it
makes of it, by which a browser's graphics processor is tried. `web/test/windows.json` gets the
tiles of many sizes, which the page's own are compared with.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from derain import __version__, load
from derain.engines.exported import Exported
from derain.images import to_floats, to_levels
from derain.restore import MOST_STRENGTH
from derain.tiles import Span, Tiling, grid, spans
from derain.weights import CATALOGUE, DEFAULT, QUALITIES

WEB = Path(__file__).parents[1] / "web"
FACTS, WINDOWS = WEB / "src" / "facts.json", WEB / "test" / "windows.json"
NAMES = ("petrichor", "petrichor-live")
"""Models of the page: the small ones."""
PROBE_SIDE = 32


def probe() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a picture (32, 32, 3) with bright slanted lines on a ramp; the page draws it too."""
    y, x = np.mgrid[:PROBE_SIDE, :PROBE_SIDE]
    line = np.where((3 * x + y) % 16 == 0, 90, 0)
    return np.stack([40 + 3 * x + line, 50 + 3 * y + line, 60 + x + y + line], 2).astype(np.uint8)


def model_facts(name: str) -> dict[str, Any]:
    """Return what the page has to know of a model."""
    row = CATALOGUE[name]
    facts = Exported.read(row.graph_path).facts
    tiling = facts.tiling
    # The page has no options of the command line.
    about = re.sub(r" \(--[^)]*\)", "", f"{row.summary}; for {row.advice}")
    rainy = to_floats(probe())
    clean = load(name, engine="onnx", device="cpu")(rainy)
    return {
        "name": name,
        "title": facts.title,
        "about": about,
        "parameters": facts.parameters,
        "default": name == DEFAULT,
        "leastSide": facts.least_side,
        "tiling": {
            "tile": tiling.tile,
            "overlap": tiling.overlap,
            "reach": tiling.reach,
            "multiple": tiling.multiple,
            "memory": tiling.memory,
        },
        "probe": base64.b64encode(to_levels(clean, np.uint8).tobytes()).decode(),
    }


def page_facts() -> dict[str, Any]:
    """Return what the page has to know of the library."""
    qualities = {
        name: quality.weights
        for name, quality in QUALITIES.items()
        if quality.weights in NAMES and quality.flips == 1
    }
    return {
        "version": __version__,
        "mostStrength": MOST_STRENGTH,
        "qualities": qualities,
        "models": [model_facts(name) for name in NAMES],
    }


def _described(span: Span) -> list[int]:
    return [span.start, span.stop, *span.fade_in, *span.fade_out]


def windows() -> dict[str, Any]:
    """Return tiles of many sizes: along one axis, and of whole pictures."""
    dice = np.random.default_rng(23)
    axes: list[dict[str, Any]] = []
    for _ in range(120):
        multiple = int(dice.choice([1, 2, 8, 16]))
        tile = int(dice.integers(4 * multiple + 16, 700))
        overlap = int(dice.integers(0, tile // 4 + 1))
        length = int(dice.integers(1, 4000))
        fade = int(dice.integers(0, overlap + 1))
        found = spans(length, tile, overlap, fade=fade, multiple=multiple)
        axes.append(
            {
                "length": length,
                "tile": tile,
                "overlap": overlap,
                "fade": fade,
                "multiple": multiple,
                "spans": [_described(span) for span in found],
                "weights": [round(float(share), 6) for share in found[0].weights()[-40:]],
            }
        )
    pictures: list[dict[str, Any]] = []
    for name in NAMES:
        whole = Exported.read(CATALOGUE[name].graph_path).facts.tiling
        for most in (1536, 768, 384):
            tiling = Tiling(most, min(whole.overlap, most // 4), whole.reach, whole.multiple)
            for height, width in ((321, 481), (3000, 4000), (4000, 3000), (1, 9000), (1537, 1536)):
                found = grid(height, width, tiling)
                pictures.append(
                    {
                        "model": name,
                        "most": most,
                        "height": height,
                        "width": width,
                        "rows": [_described(span) for span in found.rows],
                        "columns": [_described(span) for span in found.columns],
                    }
                )
    return {"axes": axes, "pictures": pictures}


def main() -> None:
    """Write both files."""
    FACTS.write_text(json.dumps(page_facts(), indent=2) + "\n", encoding="utf-8")
    WINDOWS.write_text(json.dumps(windows()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
