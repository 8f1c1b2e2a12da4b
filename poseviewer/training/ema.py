"""A running average of a network's weights, which is steadier than the weights themselves."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """Exponential moving average; the decay warms up so that the first steps do not linger.

    `module` is a copy of the network in evaluation mode that holds the averaged weights.
    """

    def __init__(self, net: nn.Module, decay: float = 0.999) -> None:
        self.module = copy.deepcopy(net).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take in the network's present weights; buffers that are not averages are copied."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        own, new = self.module.state_dict(), net.state_dict()
        floats = [key for key, value in own.items() if value.is_floating_point()]
        torch._foreach_lerp_([own[k] for k in floats], [new[k] for k in floats], 1 - decay)
        for key in own.keys() - set(floats):
            own[key].copy_(new[key])
