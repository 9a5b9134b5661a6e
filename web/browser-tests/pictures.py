"""Pictures for the browser tests, and what the library makes of them.

    python pictures.py make FOLDER
    python pictures.py compare RESULT EXPECTED
    python pictures.py describe FILE

`make` writes pictures, and into FOLDER/expected what the library makes of some. `compare` prints
how far two files' levels are apart, `describe` what a file holds; both as JSON.
"""

import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from derain import load
from derain.images import read, write_image

EXAMPLES = Path(__file__).parents[2] / "examples"
ORIENTATION, MAKE = 0x0112, 0x010F
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    'syntax-ns#"><rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    ' tiff:Orientation="{}"/></rdf:RDF></x:xmpmeta>'
)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[MAKE], exif[ORIENTATION] = "Camera", orientation
    return exif


def make(folder: Path) -> None:
    """Write the pictures and results."""
    rocket = Image.open(EXAMPLES / "rocket.jpg").convert("RGB")
    photo = rocket.resize((481, 321), Image.Resampling.LANCZOS)
    small = rocket.resize((160, 108), Image.Resampling.LANCZOS)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo.save(folder / "photo.png")
    kept: dict[str, Any] = {"icc_profile": profile, "xmp": XMP.format(6).encode()}
    photo.save(folder / "photo.jpg", quality=90, exif=_exif(1), icc_profile=profile)
    photo.save(folder / "fine.jpg", quality=97, subsampling=0)
    for orientation in (3, 6):
        exif = _exif(orientation)
        small.save(folder / f"turned{orientation}.jpg", quality=90, exif=exif, **kept)
    small.save(folder / "turned6.png", exif=_exif(6), icc_profile=profile)
    small.save(folder / "turned6.webp", quality=90, exif=_exif(6), **kept)
    levels = np.asarray(small)
    ramp = np.linspace(0, 255, levels.shape[1]).astype(np.uint8)
    alpha = np.broadcast_to(ramp, levels.shape[:2])
    see_through = Image.fromarray(np.dstack([levels, alpha]))
    see_through.save(folder / "alpha.png")
    see_through.save(folder / "alpha.webp", lossless=True, exact=True)
    small.convert("L").save(folder / "grey.png")
    small.convert("L").save(folder / "grey.jpg", quality=90)
    small.quantize(200).save(folder / "palette.png")
    small.convert("1").save(folder / "bits.png")
    dice = np.random.default_rng(1)
    deep = levels.astype(np.uint16) * 257 + dice.integers(0, 200, levels.shape).astype(np.uint16)
    write_image(folder / "deep.png", np.minimum(deep, 65535))
    _make_bad(folder, small)
    rocket.resize((2400, 1602), Image.Resampling.LANCZOS).save(folder / "large.jpg", quality=90)
    (folder / "expected").mkdir()
    remove_rain = load("petrichor", engine="onnx", device="cpu")
    for name in ("photo.png", "deep.png", "alpha.png", "grey.png"):
        picture = read(folder / name)
        clean = remove_rain(picture.pixels)
        if picture.grey:
            clean = np.rint(clean.mean(axis=2)).astype(clean.dtype)
        write_image(folder / "expected" / name, clean)


def _make_bad(folder: Path, small: Image.Image) -> None:
    """Write files that are no pictures, or none that a browser should take."""
    (folder / "empty.jpg").touch()
    (folder / "notes.jpg").write_text("No picture.\n")
    small.save(folder / "whole.png")
    whole = (folder / "whole.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    frames = [small, small.rotate(180)]
    small.save(folder / "moving.webp", save_all=True, append_images=frames[1:], duration=100)
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    (folder / "huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
            for kind, content in chunks
        )
    )


def compare(one: str, other: str) -> dict[str, Any]:
    """Return how far the levels of two files are apart: in levels of 255, or of 65535."""
    found, expected = read(one), read(other)
    if found.pixels.shape != expected.pixels.shape or found.is_deep != expected.is_deep:
        shapes = [str(found.pixels.shape), str(expected.pixels.shape)]
        return {"most": 999, "mean": 999, "shapes": shapes, "deep": found.is_deep}
    apart = np.abs(found.pixels.astype(np.int32) - expected.pixels.astype(np.int32))
    return {"most": int(apart.max()), "mean": float(apart.mean())}


def describe(path: str) -> dict[str, Any]:
    """Return what a file holds."""
    picture = read(path)
    with Image.open(path) as image:
        exif = image.getexif()
        return {
            "format": image.format,
            "size": list(image.size),
            "mode": image.mode,
            "deep": picture.is_deep,
            "isResult": picture.is_result,
            "make": exif.get(MAKE),
            "orientation": exif.get(ORIENTATION),
            "profile": len(image.info.get("icc_profile") or b""),
            "xmpOrientation": _packet_orientation(picture.metadata.xmp),
            "alpha": None if picture.alpha is None else zlib.crc32(picture.alpha.tobytes()),
            "notes": list(picture.notes),
        }


def _packet_orientation(packet: bytes) -> str | None:
    _, found, rest = packet.partition(b'tiff:Orientation="')
    return rest.split(b'"')[0].decode() if found else None


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    elif sys.argv[1] == "compare":
        sys.stdout.write(json.dumps(compare(*sys.argv[2:])))
    else:
        sys.stdout.write(json.dumps(describe(sys.argv[2])))
