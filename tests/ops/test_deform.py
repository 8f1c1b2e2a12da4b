"""Deformable convolution against its definition, the ordinary convolution, and numerical gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_deform import deform_conv2d_by_loops
from torch.nn import functional as F

from poseviewer.nets.dcn import DeformConv, WrappedDeformConv
from poseviewer.ops.deform import deform_conv2d


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    groups=st.integers(1, 2),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    spread=st.sampled_from([0.0, 0.7, 4.0]),
    masked=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_equals_the_definition(
    size: tuple[int, int],
    kernel: tuple[int, int],
    groups: int,
    stride: int,
    dilation: int,
    spread: float,
    masked: bool,
    seed: int,
) -> None:
    g = torch.Generator().manual_seed(seed)
    padding = dilation
    sides = [(s + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for s, k in zip(size, kernel, strict=True)]
    taps = kernel[0] * kernel[1]
    x = torch.randn(2, 2 * groups, *size, generator=g, dtype=torch.float64)
    offset = spread * torch.randn(2, 2 * taps * groups, *sides, generator=g, dtype=torch.float64)
    mask = torch.rand(2, taps * groups, *sides, generator=g, dtype=torch.float64) if masked else None
    weight = torch.randn(3, 2 * groups, *kernel, generator=g, dtype=torch.float64)
    options = {"mask": mask, "stride": stride, "padding": padding, "dilation": dilation}
    found = deform_conv2d(x, offset, weight, **options)
    torch.testing.assert_close(found, deform_conv2d_by_loops(x, offset, weight, **options), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stride", [1, 2])
def test_without_offsets_it_is_the_ordinary_convolution(stride: int) -> None:
    x, weight, bias = torch.randn(2, 4, 9, 7), torch.randn(5, 4, 3, 3), torch.randn(5)
    wanted = F.conv2d(x, weight, bias, stride=stride, padding=1)
    offset = torch.zeros(2, 18, *wanted.shape[2:])
    torch.testing.assert_close(deform_conv2d(x, offset, weight, bias, stride=stride), wanted, rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_the_function() -> None:
    g = torch.Generator().manual_seed(3)
    shapes = ((1, 2, 4, 3), (1, 18, 4, 3), (2, 2, 3, 3), (1, 9, 4, 3))
    x, offset, weight, mask = (torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes)
    # At whole cells the function has a kink; these places stay off them.
    offset = offset.round() + 0.3
    inputs = [value.requires_grad_() for value in (x, offset, weight, mask)]
    assert torch.autograd.gradcheck(lambda x, o, w, m: deform_conv2d(x, o, w, mask=m), inputs)


def test_half_precision_reads_at_exact_places() -> None:
    x, offset = torch.rand(1, 4, 32, 32), 3 * torch.rand(1, 18, 32, 32)
    weight = torch.rand(4, 4, 3, 3) / 36
    found = deform_conv2d(x.bfloat16(), offset.bfloat16(), weight.bfloat16())
    wanted = deform_conv2d(x, offset.bfloat16().float(), weight)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=0.02, atol=0.02)


def test_what_does_not_fit_is_refused() -> None:
    x, weight = torch.zeros(1, 4, 8, 8), torch.zeros(4, 4, 3, 3)
    with pytest.raises(ValueError, match="17 offset channels"):
        deform_conv2d(x, torch.zeros(1, 17, 8, 8), weight)
    with pytest.raises(ValueError, match="cells do not fit"):
        deform_conv2d(x, torch.zeros(1, 18, 4, 4), weight)
    with pytest.raises(ValueError, match="mask"):
        deform_conv2d(x, torch.zeros(1, 18, 8, 8), weight, mask=torch.zeros(1, 18, 8, 8))


def test_a_modulated_layer_takes_its_masks_from_the_last_third() -> None:
    layer = DeformConv(4, 6, 2, modulated=True)
    x, predicted = torch.randn(1, 4, 8, 6), torch.randn(1, 27, 4, 3)
    wanted = deform_conv2d(x, predicted[:, :18], layer.weight, mask=predicted[:, 18:].sigmoid(), stride=2)
    torch.testing.assert_close(layer(x, predicted), wanted)


def test_a_fresh_wrapped_layer_starts_as_the_ordinary_convolution() -> None:
    layer = WrappedDeformConv(4, 6)
    x = torch.randn(1, 4, 8, 6)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.conv.weight, padding=1), rtol=1e-4, atol=1e-5)
