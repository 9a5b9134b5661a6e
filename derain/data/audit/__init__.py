"""Audit of datasets: what a dataset is, and what is wrong with it.

`check` reports both, `identity` names the dataset, `benchmarks` holds facts about those of the
field, and `known` the fingerprints of some of their pictures.
"""

from derain.data.audit.identity import Identity, identify

__all__ = ["Identity", "identify"]
