"""Parts of many files, for several machines that do one part each."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import PurePath

from derain.errors import UsageError

EXPECTED = "expected INDEX/COUNT with an index from 0 to COUNT - 1, such as 0/8"


@dataclass(frozen=True)
class Part:
    """One of several parts of some files, for machines that share them without talking.

    A file belongs to one part by its name alone, so that files which come and go meanwhile change
    nothing for the others. Parts are about as large as each other.

    Attributes:
        index: Number of the part, from 0.
        count: Number of parts.

    Raises:
        UsageError: If there is no such part.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise UsageError(EXPECTED, option="part", value=f"{self.index}/{self.count}")

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Return the part that a text such as ``0/8`` names.

        Raises:
            UsageError: If it names none.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if found is None:
            raise UsageError(EXPECTED, option="part", value=text)
        return cls(int(found[1]), int(found[2]))

    def has(self, name: str | os.PathLike[str]) -> bool:
        """Return whether a file belongs to this part.

        Args:
            name: As all machines name it, such as its path below the folder that is shared.
        """
        path = name if isinstance(name, PurePath) else PurePath(name)
        text = path.as_posix().encode(errors="surrogatepass")
        number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
        return number % self.count == self.index
