"""Catch what Pillow and libtiff print, and pass it to the reader of the picture.

libtiff calls a function with its errors, Pillow logs and warns, each for the whole process. Nothing
is taken from other threads here: a message is caught only in a thread that reads a picture, and
passed on otherwise.
"""

import ctypes
import logging
import sys
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from PIL import Image

_lock = threading.Lock()
_caught = threading.local()
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
LONGEST, MOST = 200, 20
"""Characters of a line, and lines for a picture."""


@contextmanager
def caught_messages() -> Generator[list[str]]:
    """Yield a list that gets what decoders say in this thread, in place of standard error."""
    _set_handlers()
    outer = getattr(_caught, "lines", None)
    lines: list[str] = []
    _caught.lines = lines
    try:
        yield lines
    finally:
        _caught.lines = outer


class _Libtiff:
    """What libtiff calls with its errors, of the libtiff that Pillow is linked to.

    Where its functions cannot be looked up, as in a Pillow for Windows, libtiff still prints.
    """

    def __init__(self) -> None:
        self._kept: list[Any] = []
        try:
            library = ctypes.CDLL(Image.core.__file__)
            self._format = ctypes.CDLL(None).vsnprintf
            self._format.argtypes = (
                ctypes.c_char_p,
                ctypes.c_size_t,
                ctypes.c_char_p,
                ctypes.c_void_p,
            )
            # Pillow itself switches libtiff's warnings off.
            self._replace(library.TIFFSetErrorHandler)
        except (AttributeError, OSError, TypeError):
            return

    def _replace(self, set_handler: Any) -> None:
        """Set a handler that catches, or passes on to the one before."""
        set_handler.restype = ctypes.c_void_p
        set_handler.argtypes = (ctypes.c_void_p,)
        before: Any = None

        def handle(module: bytes | None, text: bytes | None, values: int | None) -> None:
            lines: list[str] | None = getattr(_caught, "lines", None)
            if lines is None:
                if before is not None:
                    before(module, text, values)
            elif text is not None and len(lines) < MOST:
                buffer = ctypes.create_string_buffer(LONGEST)
                self._format(buffer, LONGEST, text, values)
                lines.append(buffer.value.decode(errors="replace"))

        handler = _Handler(handle)
        old = set_handler(ctypes.cast(handler, ctypes.c_void_p))
        before = _Handler(old) if old else None
        self._kept.append(handler)  # ctypes does not keep what it hands out


class _PillowsLog(logging.Handler):
    """Takes what Pillow logs as an error.

    Without a handler, Python prints such lines; those of other threads are still printed.
    """

    def emit(self, record: logging.LogRecord) -> None:
        lines: list[str] | None = getattr(_caught, "lines", None)
        if lines is not None:
            if len(lines) < MOST:
                lines.append(record.getMessage()[:LONGEST])
        elif logging.lastResort and not logging.getLogger().handlers:
            logging.lastResort.handle(record)


_libtiff: _Libtiff | None = None


def _set_handlers() -> None:
    """Set the handlers, once."""
    global _libtiff
    with _lock:
        if _libtiff is None:
            _libtiff = _Libtiff()
            logging.getLogger("PIL").addHandler(_PillowsLog(logging.WARNING))


class _Shared:
    """A setting of the process, changed while at least one thread needs it."""

    def __init__(self) -> None:
        self.users = 0
        self.before: Any = None


_warnings, _bound = _Shared(), _Shared()


@contextmanager
def without_warnings() -> Generator[None]:
    """Ignore Python's warnings: Pillow warns of odd metadata, which is dealt with here.

    `warnings.catch_warnings` in two threads at once would leave them ignored for ever.
    """
    with _lock:
        if _warnings.users == 0:
            _warnings.before = warnings.catch_warnings()
            _warnings.before.__enter__()
            warnings.simplefilter("ignore")
        _warnings.users += 1
    try:
        yield
    finally:
        with _lock:
            _warnings.users -= 1
            if _warnings.users == 0:
                _warnings.before.__exit__(*sys.exc_info())


@contextmanager
def without_bound(pixels: int) -> Generator[None]:
    """Lift Pillow's own bound on pixels for a picture that was found not to be too large.

    Args:
        pixels: Of the picture; the bound stays where it does not matter.
    """
    with _lock:
        bound = Image.MAX_IMAGE_PIXELS if _bound.users == 0 else _bound.before
        lifted = bound is not None and pixels > bound
        if lifted:
            _bound.before = bound
            _bound.users += 1
            Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _lock:
            _bound.users -= lifted
            if lifted and _bound.users == 0:
                Image.MAX_IMAGE_PIXELS = _bound.before
