"""One training on several processes: who am I, how many are we, and sums over all of us.

`torchrun` starts the processes and says in the environment who each is; without it there is one process and nothing
here does anything. Gradients are averaged by DistributedDataParallel.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from poseviewer.pipeline.devices import pick_device

PATIENCE = datetime.timedelta(days=1)
"""While the first process measures or runs a detector the others wait, on CUDA by default only ten minutes."""


def started_by_torchrun(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says that this process is one of several."""
    return int(environment.get("WORLD_SIZE", "1")) > 1 and "RANK" in environment


def join(device: str = "auto") -> str:
    """Join the other processes, if `torchrun` started this one; returns the device of this process.

    On CUDA each process of a node has a card of its own and NCCL carries the sums, else gloo does.

    Raises:
        DeviceError: the node has fewer cards than processes.
    """
    if not started_by_torchrun():
        return device
    cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if not cuda:
        if not distributed.is_initialized():
            distributed.init_process_group("gloo", timeout=PATIENCE)
        return "cpu"
    own = pick_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    # Without being told, NCCL guesses the card of a barrier from the process's number.
    torch.cuda.set_device(own)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl", timeout=PATIENCE, device_id=own)
    return str(own)


def leave() -> None:
    """Say goodbye to the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def rank() -> int:
    """Number of this process, 0 for the first and for a single one."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def shared(net: nn.Module, device: torch.device) -> nn.Module:
    """The network whose gradients are the mean over all processes; `net` itself where there is one."""
    if world() == 1:
        return net
    if device.type == "cuda":
        return DistributedDataParallel(net, device_ids=[device.index or 0])
    return DistributedDataParallel(net)


def mean_over_all(total: Tensor, weight: Tensor) -> Tensor:
    """`total` / `weight` over all processes, in a form whose averaged gradient is that of the joined batch.

    Args:
        total: this process's weighted sum, a scalar with a gradient.
        weight: this process's sum of weights, a scalar.
    """
    count = world()
    if count == 1:
        return total / weight.clamp(min=1.0)
    everybody = weight.detach().clone()
    distributed.all_reduce(everybody)
    # DistributedDataParallel divides by the number of processes, so each part is multiplied by it.
    return total * count / everybody.clamp(min=1.0)


def mean_of_losses(loss: Tensor) -> Tensor:
    """The loss of the joined batch, for reports, from what `mean_over_all` gave every process."""
    if world() == 1:
        return loss
    joined = loss.detach().clone()
    distributed.all_reduce(joined)
    return joined / world()


def agreed(value: float, device: torch.device) -> float:
    """The first process's value, for decisions that all must take alike."""
    if world() == 1:
        return value
    told = torch.tensor([value], dtype=torch.float64, device=device)
    distributed.broadcast(told, 0)
    return float(told)


def wait_for_all() -> None:
    """Wait until every process is here."""
    if world() > 1:
        distributed.barrier()
