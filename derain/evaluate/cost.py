"""Measure the cost of a network: parameters, multiply-adds, time and memory."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """The cost of a network.

    Attributes:
        parameters: Trained numbers: all that the weights hold, those of CRDNet's classifier too.
        multiply_adds: Of one 512x512 picture taken whole, in convolutions, matrix products and
            attention, as often as it is flipped; None where they cannot be counted.
        seconds_per_megapixel: Median over the pictures, everything included: tiling, transfers,
            network.
        peak_memory: Most bytes held while deraining the dataset: of the process on a CPU (Linux),
            of tensors on a GPU; None where the system does not say.
    """

    parameters: int
    multiply_adds: int | None
    seconds_per_megapixel: float
    peak_memory: int | None
