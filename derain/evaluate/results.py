"""Names of results: each picture's is its own, and none lies outside its folder."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import Field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar


class NamedPicture(Protocol):
    """A dataclass with a name and a rainy file: a pair, or a photograph."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def name(self) -> str:
        """What the picture is called in results."""
        ...

    @property
    def rainy(self) -> Path:
        """The file of the rainy picture."""
        ...


NamedT = TypeVar("NamedT", bound=NamedPicture)


def distinct(pictures: Sequence[NamedT]) -> tuple[NamedT, ...]:
    """Return pictures under names that occur once.

    Pictures of one name keep their suffix, and get a number where that does not tell them apart.
    """
    times = Counter(picture.name for picture in pictures)
    names = [
        picture.name if times[picture.name] == 1 else picture.name + picture.rainy.suffix
        for picture in pictures
    ]
    return tuple(
        replace(picture, name=name) for picture, name in zip(pictures, numbered(names), strict=True)
    )


def numbered(names: Sequence[str]) -> list[str]:
    """Return names that occur once: of equal ones the first stays, ``name-2`` and so on follow."""
    taken = set(names)
    seen: Counter[str] = Counter()
    unique: list[str] = []
    for name in names:
        seen[name] += 1
        if seen[name] == 1:
            unique.append(name)
            continue
        # Counting on from the last number keeps many equal names from taking quadratic time.
        seen[name] = next(
            number for number in itertools.count(seen[name]) if f"{name}-{number}" not in taken
        )
        unique.append(f"{name}-{seen[name]}")
        taken.add(unique[-1])
    return unique


def result_file(folder: Path, name: str) -> Path:
    """Return where in a folder the result of a picture goes.

    Raises:
        ValueError: If that is outside the folder, as the names in a list of pairs may ask for.
    """
    target = folder / f"{name}.png"
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"{name}: its result would lie outside {folder}; expected a name without .."
        )
    return target
