"""The processes of one training run, as ``torchrun`` starts them.

Each process is a rank. All hold the same network and take the same steps; each makes its own part
of every batch, and gradients are averaged over them before the optimiser's step. The networks are
small, so one exchange of all gradients is cheap, and a run of one process computes what it would
without this module, to the bit. The first rank writes all files.
"""

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from derain.errors import DerainError, SettingError, UsageError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables of the environment that make a process one rank of a run."""

PATIENCE = timedelta(hours=2)
"""How long a rank waits for the others: the first may search a large data set for leaks meanwhile.

A rank that ends is noticed at once, because its connections close.
"""

FAILED = "failed"
"""Key of the ranks' store that holds the first rank that failed."""

_K = TypeVar("_K")
_V = TypeVar("_V")


class RankLostError(DerainError):
    """Another process of the run ended, so that this one cannot continue."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those of a run, and their exchange of data.

    With one process no method exchanges anything, or changes a value.

    Attributes:
        rank: Number of this process, from 0.
        count: Number of processes.
        local: Number of this process on its machine, from 0, which chooses its GPU.
        store: What the processes find each other by; None for one process.
    """

    rank: int = 0
    count: int = 1
    local: int = 0
    store: Store | None = None

    @property
    def writes(self) -> bool:
        """Whether this process writes the files of the run."""
        return self.rank == 0

    def own_device(self, name: str) -> str:
        """Return the name of this process's device: of GPUs, each process on a machine has one.

        Args:
            name: As for `derain.engines.pytorch.choose_device`.

        Raises:
            UsageError: If it names one GPU for several processes.
        """
        if self.count == 1 or name == "cpu":
            return name
        if ":" in name:
            raise UsageError(
                f"names one device for {self.count} processes; expected cuda or cpu",
                option="device",
                value=name,
            )
        return f"cuda:{self.local}" if name == "cuda" or torch.cuda.is_available() else name

    def share(self, batch: int) -> range:
        """Return the places of a batch that this process makes.

        Args:
            batch: Pictures in a batch of the recipe, over all processes.

        Raises:
            SettingError: If the batch cannot be divided.
        """
        part, rest = divmod(batch, self.count)
        if rest:
            raise SettingError(
                f"cannot be divided over {self.count} processes; expected a multiple of"
                f" {self.count}, or start another number of processes",
                option="batch",
                value=batch,
            )
        return range(self.rank * part, (self.rank + 1) * part)

    def takes(self, number: int) -> bool:
        """Return whether this process does the work of a number, of which each is done once."""
        return number % self.count == self.rank

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace float32 tensors by their means over all processes, in one exchange.

        Args:
            tensors: On one device; of the same shapes in all processes.
        """
        if self.count == 1:
            return
        held = list(tensors)
        if not held:
            return
        with torch.no_grad(), _noticing_loss():
            flat = torch.cat([tensor.detach().flatten() for tensor in held])
            distributed.all_reduce(flat)
            flat /= self.count
            parts = flat.split([tensor.numel() for tensor in held])
            for tensor, part in zip(held, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))

    def means(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the means of float32 tensors over all processes."""
        if self.count == 1:
            return dict(values)
        # Copies, because gradients may yet be computed from the values.
        means = {name: value.detach().clone() for name, value in values.items()}
        self.average(means.values())
        return means

    def average_gradients(self, module: nn.Module) -> None:
        """Average the gradients of a module.

        A parameter that no part of the loss depends on has no gradient in any process, such as the
        state's convolutions of ReMAEN with one recurrence. It stays so: with a gradient of zero the
        optimiser would change it by its moments and its decay.
        """
        gradients = (parameter.grad for parameter in module.parameters())
        self.average(gradient for gradient in gradients if gradient is not None)

    def average_norms(self, module: nn.Module) -> None:
        """Average the statistics of batch normalisation, which each process has of its own part."""
        if self.count == 1:
            return
        norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
        pairs = ((norm.running_mean, norm.running_var) for norm in norms)
        self.average(values for pair in pairs for values in pair if values is not None)

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        if self.count == 1:
            return
        with torch.no_grad(), _noticing_loss():
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                distributed.broadcast(whole, 0)
                tensor.copy_(whole)

    def of_first(self, value: _V) -> _V:
        """Return a value as the first process has it; what others give does not matter."""
        if self.count == 1:
            return value
        held: list[Any] = [value]
        with _noticing_loss():
            distributed.broadcast_object_list(held, 0)
        return held[0]

    def joined(self, part: Mapping[_K, _V]) -> dict[_K, _V]:
        """Return the entries of all processes in one table."""
        if self.count == 1:
            return dict(part)
        parts: list[Any] = [None] * self.count
        with _noticing_loss():
            distributed.all_gather_object(parts, dict(part))
        return {key: value for each in parts for key, value in each.items()}

    def reports(self) -> bool:
        """Return whether this process is the first that failed, and so the one that says why.

        The others fail for the same reason, or because this one ended.
        """
        if self.store is None:
            return True
        try:
            return self.store.compare_set(FAILED, "", str(self.rank)) == str(self.rank).encode()
        except (RuntimeError, ValueError):  # the store went with the first process
            return self.writes


ALONE = Ranks()
"""The only process of a run."""


def has_others() -> bool:
    """Return whether ``torchrun`` started this process as one of several."""
    return all(os.environ.get(name) for name in VARIABLES) and os.environ["WORLD_SIZE"] != "1"


@contextmanager
def joined_ranks() -> Generator[Ranks]:
    """Join the other processes of a run, if ``torchrun`` started this one, for a block.

    Raises:
        RankLostError: If the others are not there.
    """
    if not has_others():
        yield ALONE
        return
    with _noticing_loss():
        found, rank, count = next(rendezvous("env://", timeout=PATIENCE))
        # After a restart torchrun's store still holds the addresses of processes that are gone.
        store = PrefixStore(f"derain/{_restarts()}", found)
        # What is not a tensor on a GPU is exchanged between processors, even where there are GPUs.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(
            backend, store=store, rank=rank, world_size=count, timeout=PATIENCE
        )
    local = int(os.environ.get("LOCAL_RANK") or rank)
    if torch.cuda.is_available() and local < torch.cuda.device_count():
        torch.cuda.set_device(local)
    try:
        yield Ranks(rank, count, local, store)
    finally:
        distributed.destroy_process_group()


def is_restarted() -> bool:
    """Return whether ``torchrun`` started this process again, after one of the run failed."""
    return _restarts() > 0


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT") or 0)


@contextmanager
def _noticing_loss() -> Generator[None]:
    """Raise RankLostError for what PyTorch raises when another process is gone."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise RankLostError(
            "another process of this run ended, expected all of them; see what it wrote, then"
            " --resume continues from the last checkpoint"
        ) from error
