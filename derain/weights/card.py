"""What a weights file says about itself: its header, read back as a dataclass."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from derain.networks import Hyperparameters


@dataclass(frozen=True)
class Card:
    """Facts about weights.

    Attributes:
        name: Short name, as ``derain -m`` takes it.
        network: A name of `derain.networks.NETWORKS`.
        hyperparameters: Arguments of the network's constructor.
        recipe: Name of the recipe, or where published weights come from.
        data: What they were trained on.
        steps: Optimiser steps.
        hours: Time spent training.
        machine: On what.
        scores: Measured, by dataset and protocol: ``{"Rain100L-dev10 y-matlab": "32.1 / 0.93"}``.
        licence: Under which the weights may be used.
        commit: Of the code that trained them.
        note: Anything else a user should know.
    """

    name: str
    network: str
    hyperparameters: Hyperparameters = field(default_factory=dict)
    recipe: str = ""
    data: str = ""
    steps: int = 0
    hours: float = 0.0
    machine: str = ""
    scores: dict[str, str] = field(default_factory=dict)
    licence: str = ""
    commit: str = ""
    note: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Reads a header; fields of a later version are left out.

        Raises:
            ValueError: If it is no JSON object, or name or network are missing.
        """
        values: Any = json.loads(text)
        if not isinstance(values, dict) or not {"name", "network"} <= values.keys():
            raise ValueError("the header names no network")
        if not (isinstance(values["name"], str) and isinstance(values["network"], str)):
            raise ValueError("name and network are not text")
        if not isinstance(values.get("hyperparameters", {}), dict) or not isinstance(values.get("scores", {}), dict):
            raise ValueError("hyperparameters or scores are no table")
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})
