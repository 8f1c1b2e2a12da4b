"""The running average follows the weights and leaves counters exact."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from poseviewer.training.ema import Average


def test_the_average_approaches_constant_weights() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = Average(net, decay=0.9)
    with torch.no_grad():
        net[0].weight.fill_(2.0)
    gaps = []
    for _ in range(60):
        average.update(net)
        gaps.append(float((average.module.state_dict()["0.weight"] - 2.0).abs().max()))
    assert gaps[0] < 0.3 * float((torch.zeros(1) - 2).abs())
    assert gaps[-1] < 0.01
    assert all(later <= earlier for earlier, later in itertools.pairwise(gaps))


def test_counters_are_copied_and_the_network_is_left_alone() -> None:
    net = nn.BatchNorm1d(2)
    average = Average(net)
    net.train()(torch.randn(4, 2))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    average.update(net)
    assert average.module.state_dict()["num_batches_tracked"] == 1
    assert not average.module.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
