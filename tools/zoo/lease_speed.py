"""Time Petrichor's sizes on whole pictures, by number format."""

import json
from typing import Any

import torch
from torch import Tensor

from benchmarks.tables import table_head, table_row
from derain.networks import Petrichor
from tools.zoo.place import Place
from tools.zoo.stepper import median_seconds

SPEED_SIZES = ((321, 481), (1080, 1920), (3000, 4000))


def speed(place: Place, names: list[str]) -> None:
    """Print the seconds of a whole picture for each size and number format; sizes take turns."""
    formats = (torch.float32, torch.bfloat16, torch.float16)
    rows: list[dict[str, Any]] = []
    for height, width in SPEED_SIZES[:1] if place.rehearse else SPEED_SIZES:
        picture = torch.rand(1, 3, height, width, device=place.device)
        picture = picture.contiguous(memory_format=torch.channels_last)
        for name in names:
            network = place.network(name)[0].to(place.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            for dtype in formats:
                rows.append(_speed(network.eval(), picture, dtype) | {"name": name})
    columns = ("ms a picture", "megapixels/s", "peak memory, MB")
    print(table_head("model", "size", "format", *columns))
    for row in rows:
        size = f"{row['width']}x{row['height']}"
        rate = row["width"] * row["height"] / row["seconds"] / 1e6
        figures = f"{1e3 * row['seconds']:.2f}", f"{rate:.0f}", f"{row['memory'] / 1e6:.0f}"
        print(table_row(f"`{row['name']}`", size, row["dtype"], *figures))
    (place.out / "speed.json").write_text(json.dumps(rows))


def _speed(network: Petrichor, picture: Tensor, dtype: torch.dtype) -> dict[str, Any]:
    device = picture.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def once() -> None:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
        ):
            network(picture)

    seconds = median_seconds(once, device)
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    height, width = picture.shape[2:]
    kind = str(dtype).removeprefix("torch.")
    return {"height": height, "width": width, "dtype": kind, "seconds": seconds, "memory": memory}
