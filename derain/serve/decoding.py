"""Decoding and encoding in a process that may take only so much memory and time.

A file that makes a decoder crash, loop or ask for too much ends this process and no other. One
process handles one picture at a time: it keeps what the file holds besides pixels until the result
comes back.

    server                      decoder
    "judge", file        ->     header read; "judged": pixels
    "decode"             ->     "decoded": shape, type, format; pixels
    "encode", result     ->     "encoded": notes; file
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from derain.serve.channel import Channel, array_size, bytes_of, pixels_of
from derain.serve.processes import (
    Child,
    RefusedError,
    forbid_files,
    ignore_stop_signals,
    limit_memory,
    limited,
    serve_forever,
)
from derain.serve.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from derain.images import Format, Picture
    from derain.serve.negotiation import Wish

KINDS = ("uint8", "uint16")


@dataclass(frozen=True)
class Decoded:
    """A picture that a decoder holds.

    Attributes:
        shape: Of its pixels, (H, W, 3).
        kind: Their type: ``uint8`` or ``uint16``.
        format: Of the result.
        name: Of the result's file.
    """

    shape: tuple[int, int, int]
    kind: str
    format: "Format"
    name: str


class Decoder(Child):
    """A process that decodes and encodes, as the server sees it.

    Its methods raise `EndedError` if it ends meanwhile, and `RefusedError` for a picture that
    cannot be read or written.

    Args:
        settings: Those of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting = 0
        super().__init__(main, (settings,), "derain decoder")

    def judge(self, file: bytes | bytearray) -> int:
        """Send a file, and return the pixels that its header claims."""
        with limited(self._settings.decode_timeout, self):
            self.channel.tell(do="judge", size=len(file))
            self.channel.send(file)
            return int(self._hear("judged")["pixels"])

    def decode(self, wish: "Wish", name: str) -> Decoded:
        """Decode the file that was judged; its pixels wait in the pipe."""
        with limited(self._settings.decode_timeout, self):
            self.channel.tell(do="decode", formats=list(wish.formats), name=name)
            said = self._hear("decoded")
            height, width, channels = (int(side) for side in said["shape"])
            if said["kind"] not in KINDS or channels != 3:
                raise OSError("no picture in a pipe")
            shape = (height, width, channels)
            self._waiting = array_size(shape, said["kind"])
            return Decoded(shape, said["kind"], said["format"], str(said["name"]))

    def hand_over(self, target: Channel) -> None:
        """Pass the pixels that wait in the pipe on to another process."""
        size, self._waiting = self._waiting, 0
        self.channel.relay(target, size)

    def encode(self) -> tuple[bytes, str]:
        """Return the file of the result, whose pixels were sent, and what was not kept."""
        with limited(self._settings.timeout, self):
            said = self._hear("encoded")
            return bytes(self.channel.receive(int(said["size"]))), str(said["notes"])

    def forget(self) -> None:
        """Let go of the picture, and of its pixels if nobody took them from the pipe."""
        size, self._waiting = self._waiting, 0
        if size:
            with limited(self._settings.decode_timeout, self):
                self.channel.drop(size)
        with contextlib.suppress(OSError):
            self.channel.tell(do="forget")

    def _hear(self, expected: str) -> Mapping[str, Any]:
        said = self.channel.hear()
        if "refused" in said:
            raise RefusedError(int(said["refused"]), str(said["detail"]))
        if said.get("said") != expected:
            raise OSError(f"no {expected} in a pipe")
        return said


# In the process


def main(connection: "Connection[Any, Any]", settings: Settings) -> None:
    """Decode and encode for a server until it closes the pipe."""
    ignore_stop_signals()
    # Imported before the limit is set, so that it counts what pictures take.
    from derain.serve.coding import warm_up

    warm_up()
    forbid_files()
    limit_memory(settings.decoder_memory)
    serve_forever(connection, _Desk(settings).answer)


class _Desk:
    """What a decoder holds between messages."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = b""
        self._picture: Picture | None = None
        self._format: Format = "PNG"

    def answer(self, channel: Channel, message: Mapping[str, Any]) -> None:
        """Do what a message asks for."""
        from derain.serve.coding import refusal_of

        try:
            getattr(self, f"_{message['do']}")(channel, message)
        except (EOFError, BrokenPipeError):
            raise
        # Whatever a hostile file makes decoders raise is an answer.
        except Exception as error:
            self._forget(channel, message)
            refusal = refusal_of(error)
            channel.tell(refused=refusal.status, detail=refusal.detail)

    def _judge(self, channel: Channel, message: Mapping[str, Any]) -> None:
        from derain.serve.coding import claimed_pixels

        self._file = bytes(channel.receive(message["size"]))
        pixels = claimed_pixels(self._file, self._settings.max_pixels)
        channel.tell(said="judged", pixels=pixels)

    def _decode(self, channel: Channel, message: Mapping[str, Any]) -> None:
        from derain.serve.coding import decoded, result_name
        from derain.serve.negotiation import Wish

        wish = Wish(cast("tuple[Format, ...]", tuple(message["formats"])))
        file, self._file = self._file, b""
        self._picture, self._format = decoded(
            file, message["name"], wish, self._settings.max_pixels
        )
        pixels = self._picture.pixels
        channel.tell(
            said="decoded",
            shape=pixels.shape,
            kind=pixels.dtype.name,
            format=self._format,
            name=result_name(message["name"], self._format),
        )
        channel.send(bytes_of(pixels))

    def _encode(self, channel: Channel, _: Mapping[str, Any]) -> None:
        from derain.serve.coding import encoded

        picture, self._picture = self._picture, None
        if picture is None:
            raise ValueError("no picture to encode")
        shape = (*picture.pixels.shape[:2], 3)
        kind = picture.pixels.dtype.name
        pixels = pixels_of(channel.receive(array_size(shape, kind)), shape, kind)
        file, notes = encoded(picture.with_pixels(pixels), self._format)
        channel.tell(said="encoded", size=len(file), notes=notes)
        channel.send(file)

    def _forget(self, _channel: Channel, _message: Mapping[str, Any]) -> None:
        self._file, self._picture = b"", None
