"""Near-duplicate search: pictures that occur in another set, or twice in one.

`search` finds them, `candidates` says which are worth comparing. `album` opens and decodes each
file once for this and other checks; `greys` keeps what candidates are compared by. `vision` is all
that OpenCV is needed for.
"""

from derain.data.copies.album import Album
from derain.data.copies.candidates import fingerprint
from derain.data.copies.search import Change, Copy, Search, find_copies, find_duplicates

__all__ = ["Album", "Change", "Copy", "Search", "find_copies", "find_duplicates", "fingerprint"]
