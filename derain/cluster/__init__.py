"""Derain an archive on many machines with Ray Data, and record what was done.

`listing` finds the files of an archive and names their results, with the rules of
`derain.pictures`. `manifest` is the record in the output folder, by which a second run does what is
missing or changed. `pipeline` lets Ray's workers do the rest: `work` is what each of them executes,
`ledger` what outlives one that ends. `places` are folders of this machine and of object stores.

Ray is imported on call: whoever wants it installs the extra ``cluster``.
"""

from derain.cluster.pipeline import run
from derain.cluster.request import Outcome, Request

__all__ = ["Outcome", "Request", "run"]
