"""``derain serve`` runs a web page and an HTTP API."""

from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.console import one_line_errors, result, say, warn
from derain.cli.options import DeviceOption, EngineOption

if TYPE_CHECKING:
    from derain.serve.settings import Settings

HostOption = Annotated[
    str, typer.Option(help="Address to listen on. 0.0.0.0 is every address of this machine.")
]
PortOption = Annotated[int, typer.Option(help="Port to listen on; 0 for any that is free.")]
NameOption = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="HOST",
        help="Host name that browsers use through a proxy, without scheme or port. May be"
        " repeated.",
    ),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option(
        "-m",
        "--model",
        help="Weights to offer; the first is the default. May be repeated. Default: all sizes of"
        " Petrichor.",
    ),
]
WorkersOption = Annotated[
    int, typer.Option(help="Processes that derain; they share the processor's cores.")
]
QueueOption = Annotated[int, typer.Option(help="Pictures that may wait; more are refused.")]
MaxBytesOption = Annotated[
    str, typer.Option(metavar="N", help="Refuse larger files: 64M is 64 million bytes.")
]
MaxPixelsOption = Annotated[
    str, typer.Option(metavar="N", help="Refuse pictures of more pixels: 64M is 64 million.")
]
TimeoutOption = Annotated[float, typer.Option(help="Seconds that one picture may take.")]


def serve(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    name: NameOption = None,
    model: ModelOption = None,
    workers: WorkersOption = 1,
    queue: QueueOption = 32,
    max_bytes: MaxBytesOption = "64M",
    max_pixels: MaxPixelsOption = "64M",
    timeout: TimeoutOption = 120.0,
    engine: EngineOption = "auto",
    device: DeviceOption = "auto",
) -> None:
    """Run a web page and an HTTP API that remove rain from pictures.

    Only this machine can reach the server, unless --host says otherwise. If the environment has
    DERAIN_API_KEY, clients must send this key. The API is described at /docs and in
    docs/guides/serve.md.

    Ctrl-C stops the server after the accepted pictures are finished; a second Ctrl-C stops it at
    once.
    """
    with one_line_errors(has_limit=True):
        from derain.cli.numbers import whole_number
        from derain.extras import require

        for package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
            require(package, "derain serve")
        from derain.serve import server
        from derain.serve.settings import Settings, key_from_environment

        settings = Settings(
            host=host,
            port=port,
            names=tuple(name or ()),
            models=tuple(model or ()),
            workers=workers,
            queue=queue,
            max_bytes=whole_number(max_bytes, "max_bytes", "bytes"),
            max_pixels=whole_number(max_pixels, "max_pixels"),
            timeout=timeout,
            engine=engine,
            device=device,
            api_key=key_from_environment(),
        )
        server.run(settings, _announce)


def _announce(settings: "Settings", url: str) -> None:
    if not (settings.is_loopback or settings.api_key):
        warn(
            "anyone who can reach this machine can use the server; set DERAIN_API_KEY to require a"
            " key"
        )
    result(url)
    say("press Ctrl-C to stop it after the accepted pictures are finished")
