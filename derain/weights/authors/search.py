"""Finds the mapping of a checkpoint that holds a network, wherever it lies and whatever wraps it.

Training programs put a state dict into mappings of their own (``state_dict``, ``model``, ``net``,
``params_ema``), and what a network is wrapped in puts words before the names of its tensors
(``module.``, ``_orig_mod.``, ``model.``). Neither list has an end. So all mappings with tensors are
tried, and names are recognised by how they end.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from derain.weights.authors.pickle_stream import Unbuilt
from derain.weights.authors.stored import Stored

DEEPEST = 16
"""Mappings in mappings that are searched."""

WRAPPERS = frozenset(
    ["_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_module", "_orig_mod", "module"]
)
"""Words that wrappers put anywhere into the names of tensors; no network here has such a part."""

AVERAGED = re.compile(r"(?<![a-z])(ema|swa|polyak|shadow|avg|averaged?|average_model)(?![a-z])")
"""Says of a place that the running mean of weights lies there, which derains better."""

OPTIMISER = re.compile(r"optim|momentum|exp_avg|moment_|velocity|grad|adam|sgd|slots")
"""Says of a place that tensors of an optimiser lie there, called as those of the network."""


@dataclass(frozen=True)
class Held:
    """Tensors that lie together in a checkpoint.

    Attributes:
        place: Keys that lead to the mapping.
        tensors: By name.
        prefix: What stood before the names of all.
    """

    place: tuple[str, ...]
    tensors: dict[str, Stored]
    prefix: str = ""

    @property
    def title(self) -> str:
        """Where they lie: ``model.params``, and what stands before their names."""
        place = ".".join(self.place)
        return " ".join(filter(None, (place, self.prefix and f"{self.prefix}*"))) or "the top level"

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """What to sort by, the best first: running means, then what lies least deep."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", ".".join((*self.place, self.prefix))).lower()
        return bool(OPTIMISER.search(words)), not AVERAGED.search(words), len(self.place)

    def stripped(self, markers: Collection[str]) -> Iterator["Held"]:
        """Yield the tensors under each prefix that stands before all of some names.

        Args:
            markers: Names as the network has them.
        """
        tensors = {_unwrapped(name): tensor for name, tensor in self.tensors.items()}
        # Two names may become one, as where a wrapped network lies beside a plain one.
        if len(tensors) < len(self.tensors):
            tensors = self.tensors
        first = min(markers, default="")
        ends = [name.removesuffix(first) for name in tensors if first and name.endswith(first)]
        prefixes = [
            prefix
            for prefix in ends
            if not prefix[-1:].isalnum() and all(prefix + marker in tensors for marker in markers)
        ]
        for prefix in prefixes:
            longer = tuple(other for other in prefixes if len(other) > len(prefix))
            inside = {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix) and not name.startswith(longer)
            }
            yield Held(self.place, inside, prefix)

    def __str__(self) -> str:
        name, tensor = next(iter(self.tensors.items()))
        many = f"{len(self.tensors)} tensors, first" if len(self.tensors) > 1 else "1 tensor,"
        return f"{self.title} ({many} {name[:60]} {tensor})"


def held_in(tree: Any) -> list[Held]:
    """Return the mappings of tensors in what a checkpoint holds, from the outside inwards."""
    found: list[Held] = []
    waiting: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    seen: set[int] = set()
    for place, node in waiting:
        # What contains itself, or lies in several places, is searched once.
        if id(node) in seen or len(place) > DEEPEST:
            continue
        seen.add(id(node))
        pairs = _children(node)
        tensors = {key: child for key, child in pairs if isinstance(child, Stored)}
        if tensors and not isinstance(node, list | tuple):
            found.append(Held(place, tensors))
        waiting += [
            ((*place, key), child)
            for key, child in pairs
            if isinstance(child, dict | list | tuple | Unbuilt)
        ]
    return found


def _children(node: Any) -> list[tuple[str, Any]]:
    """Return what lies in a mapping or a list, by its key or its number."""
    if isinstance(node, list | tuple):
        row: Sequence[Any] = node
        return [
            (str(number), child)
            for number, child in enumerate(row)
            if isinstance(child, dict | list | tuple | Unbuilt)
        ]
    items: dict[str, Any] = node.items if isinstance(node, Unbuilt) else node
    return list(items.items()) if isinstance(items, dict) else []  # pyright: ignore[reportUnnecessaryIsInstance]


def largest(helds: Sequence[Held]) -> Held:
    """Return the one with the most tensors, running means first."""
    return min(helds, key=lambda held: (held.rank[:2], -len(held.tensors)))


def describe(tree: Any, helds: Sequence[Held]) -> str:
    """Return what was found in a checkpoint, in words."""
    if helds:
        many = "1 mapping" if len(helds) == 1 else f"{len(helds)} mappings"
        first = sorted(helds, key=lambda held: -len(held.tensors))[:3]
        more = ", ..." if len(helds) > 3 else ""
        return f"{many} of tensors: {', '.join(map(str, first))}{more}"
    if isinstance(tree, dict):
        keys: list[str] = [key[:40] for key in list(tree)[:5]]  # pyright: ignore
        return f"a mapping of {', '.join(keys) or 'nothing'}, without tensors"
    kind = "tensor" if isinstance(tree, Stored) else type(tree).__name__
    return f"a {kind}"


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
