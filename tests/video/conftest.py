"""Without PyAV, what reads and writes clips is left out."""

from derain.extras import is_installed

collect_ignore = (
    []
    if is_installed("av")
    else ["test_encoding.py", "test_joining.py", "test_pixels.py", "test_reading.py"]
)
