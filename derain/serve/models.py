"""The weights and qualities that the server offers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derain.engines.exported import Exported, is_exported
from derain.engines.opening import check_model, choose_engine
from derain.errors import UsageError, check_choice
from derain.restore import MOST_STRENGTH, check_asked
from derain.weights import CATALOGUE, QUALITIES, find_card
from derain.weights.catalogue import COSTS, ShippedWeights


@dataclass(frozen=True)
class Model:
    """Weights that are offered.

    Attributes:
        name: As clients ask for them.
        source: Name or path, as `derain.load` takes it.
        title: Of the network.
        about: What they are for, in a line.
        parameters: Trained numbers; None where that is not known.
        seconds: For a megapixel on the machine that the catalogue was measured on; None where it
            was not measured.
    """

    name: str
    source: str
    title: str
    about: str
    parameters: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Choice:
    """The choice of a client.

    Attributes:
        model: Name of the weights.
        flips: Over how many forms of a picture its result is averaged.
        strength: How much of the rain is removed.
    """

    model: str
    flips: int = 1
    strength: float = 1.0


class Models:
    """The weights that are offered; the first is the default.

    Args:
        names: Names or paths; none for the weights that are shipped as graphs.
        engine: As `derain.load` takes it.
        device: As `derain.load` takes it.

    Raises:
        FileNotFoundError: If there are no such weights.
        MissingExtraError: If they need a package that is not installed.
        ValueError: If a name is not known, or two are the same.
    """

    def __init__(self, names: Sequence[str], engine: str = "auto", device: str = "auto") -> None:
        chosen = names or [row.name for row in CATALOGUE.values() if row.graph]
        self._by_name: dict[str, Model] = {}
        for name in chosen:
            check_asked(name, engine=engine, device=device)
            check_model(name)
            model = _model(name, choose_engine(engine, device))
            if model.name in self._by_name:
                raise UsageError(
                    "named twice; clients name weights by the file, so give it another name",
                    option="model",
                    value=model.name,
                )
            self._by_name[model.name] = model

    def __getitem__(self, name: str) -> Model:
        """Return the weights of a name."""
        return self._by_name[name]

    @property
    def default(self) -> str:
        """Name of the weights for those who choose none."""
        return next(iter(self._by_name))

    @property
    def qualities(self) -> list[str]:
        """The qualities whose weights are offered."""
        return [name for name, quality in QUALITIES.items() if quality.weights in self._by_name]

    def choose(self, model: str | None, quality: str | None, strength: float) -> Choice:
        """Return what a client chose.

        Raises:
            UsageError: If there are no such weights or quality here, or both were named.
        """
        if not 0 <= strength <= MOST_STRENGTH:
            expected = f"expected 0 to {MOST_STRENGTH}"
            raise UsageError(expected, option="strength", value=strength)
        if model and quality:
            raise UsageError(
                f"chooses the model, but {model} was named too; leave one of them out",
                option="quality",
                value=quality,
            )
        # What a client sent is repeated only in part.
        if quality:
            check_choice(quality[:100], self.qualities, "quality")
            found = QUALITIES[quality]
            return Choice(found.weights, found.flips, strength)
        if model:
            check_choice(model[:100], self._by_name, "model")
        return Choice(model or self.default, 1, strength)

    def described(self) -> list[dict[str, Any]]:
        """Return what clients are shown of the weights."""
        return [
            {
                "name": model.name,
                "title": model.title,
                "about": model.about,
                "parameters": model.parameters,
                "default": model.name == self.default,
                "seconds_per_megapixel": model.seconds,
            }
            for model in self._by_name.values()
        ]


def _model(name: str, engine: str) -> Model:
    row = CATALOGUE.get(name)
    if row is None:
        path = Path(name)
        card = Exported.read(path).card if is_exported(path) else find_card(name)
        return Model(path.stem, name, card.network, path.name)
    return _shipped(row, engine)


def _shipped(row: ShippedWeights, engine: str) -> Model:
    cost = COSTS.get(row.name)
    seconds = None if cost is None else cost.onnx if engine == "onnx" else cost.torch
    parameters = None if cost is None else cost.parameters
    # The options of the command line are no part of the API.
    about = re.sub(r" \([^)]*\)", "", f"{row.summary}; for {row.advice}")
    return Model(row.name, row.name, row.name, about, parameters, seconds)
