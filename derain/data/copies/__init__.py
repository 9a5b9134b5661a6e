"""Near-duplicate search: pictures that occur in another set, or twice in one.

`search` finds them, `candidates` says which are worth comparing, `vision` is what OpenCV does.
"""

from derain.data.copies.candidates import fingerprint
from derain.data.copies.search import Change, Copy, Search, find_copies, find_duplicates

__all__ = ["Change", "Copy", "Search", "find_copies", "find_duplicates", "fingerprint"]
