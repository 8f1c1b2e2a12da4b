"""Decoding, flip test, targets and SIKR against the numbers of the public AlphaPose code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from poseviewer.ops import decode, sikr, targets


@pytest.fixture(scope="module")
def vectors(golden: Path) -> Path:
    return golden / "alphapose"


def test_old_decoding(vectors: Path) -> None:
    data = np.load(vectors / "decode_old.npz")
    xy, scores = decode.decode_heatmaps(torch.from_numpy(data["hms"]).float(), "old")
    np.testing.assert_allclose(xy.numpy(), data["preds_hm"], atol=1e-4)
    np.testing.assert_allclose(scores.numpy(), data["maxval"][..., 0], atol=1e-4)


def test_master_decoding(vectors: Path) -> None:
    data = np.load(vectors / "decode_master.npz")
    maps = torch.from_numpy(data["hms"]).float()
    xy, scores = decode.argmax_joints(maps)
    np.testing.assert_array_equal(xy.numpy(), data["argmax_xy"])
    np.testing.assert_allclose(scores.numpy(), data["maxvals"][..., 0], atol=1e-4)
    xy, _ = decode.decode_heatmaps(maps, "master")
    np.testing.assert_allclose(placed(xy, data["bbox"], (48, 64)), data["preds"], atol=1e-3)


def placed(xy: torch.Tensor, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Heatmap cells to picture pixels: AlphaPose's inverse map has the box's width as its only scale."""
    start, end = boxes[:, None, :2], boxes[:, None, 2:]
    cell = (end - start)[..., :1] / size[0]
    centre: np.ndarray = (start + end) / 2
    return centre + (xy.numpy() - np.array(size) / 2) * cell


@pytest.mark.parametrize("norm", ["softmax", "sigmoid", "divide_sum"])
def test_integral_decoding(vectors: Path, norm: str) -> None:
    data = np.load(vectors / "decode_integral.npz")
    logits = torch.from_numpy(data["logits"]).float()
    maps = logits.abs() + 0.01 if norm == "divide_sum" else logits
    xy, scores = decode.decode_integral(maps, norm)
    np.testing.assert_allclose(scores.numpy(), data[f"{norm}_predscore"][..., 0], atol=1e-4)
    np.testing.assert_allclose(placed(xy, data["bbox"], (48, 64)), data[f"{norm}_preds"], atol=1e-3)
    coordinates, _ = sikr.sikr_coordinates(maps, norm)
    np.testing.assert_allclose(coordinates.numpy(), data[f"{norm}_jts"], atol=1e-5)


@pytest.mark.parametrize("prefix", ["17", "26", "136"])
def test_flip_with_shift(vectors: Path, prefix: str) -> None:
    data = np.load(vectors / "flip.npz")
    flip = flip_order(vectors, int(prefix))
    maps, mirrored = (torch.from_numpy(data[f"{prefix}_{k}"]) for k in ("hm", "hm_of_flipped"))
    np.testing.assert_allclose(decode.flip_back(mirrored, flip).numpy(), data[f"{prefix}_back_shift"], atol=1e-6)
    plain = decode.flip_back(mirrored, flip, shift=False)
    np.testing.assert_allclose(plain.numpy(), data[f"{prefix}_back_noshift"], atol=1e-6)
    merged = decode.merge_flip(maps, mirrored, flip)
    np.testing.assert_allclose(merged.numpy(), data[f"{prefix}_merged_shift"], atol=1e-6)


def test_flip_of_the_old_code_has_no_shift(vectors: Path) -> None:
    data = np.load(vectors / "flip.npz")
    maps, mirrored = (torch.from_numpy(data[f"old_{k}"]) for k in ("hm", "hm_of_flipped"))
    merged = decode.merge_flip(maps, mirrored, flip_order(vectors, 17), shift=False)
    np.testing.assert_allclose(merged.numpy(), data["old_merged"], atol=1e-6)


def flip_order(vectors: Path, joints: int) -> list[int]:
    known = json.loads((vectors / "joint_pairs.json").read_text())
    names = {17: "mscoco", 26: "halpe_26", 136: "halpe_136"}
    order = list(range(joints))
    for a, b in known[names[joints]]:
        order[a], order[b] = b, a
    return order


@pytest.mark.parametrize("case", range(4))
def test_master_targets(vectors: Path, case: int) -> None:
    data = np.load(vectors / "targets.npz")
    joints = torch.from_numpy(data[f"m{case}_joints"])[None]
    maps, weights = targets.master_heatmaps(joints[:, :, :2, 0], joints[:, :, 0, 1], (48, 64))
    np.testing.assert_allclose(maps[0].numpy(), data[f"m{case}_target"], atol=1e-6)
    np.testing.assert_allclose(weights[0].numpy(), data[f"m{case}_weight"][:, 0, 0])


@pytest.mark.parametrize("case", ["i0", "i1", "i2", "i3", "j136", "j133", "j68", "j26"])
def test_integral_targets(vectors: Path, case: str) -> None:
    data = np.load(vectors / "targets.npz")
    whole = case.startswith("j")
    joints = torch.from_numpy(data[f"{case}_joints" if whole else f"m{case[1]}_joints"])[None]
    found, weights = targets.integral_targets(joints[:, :, :2, 0], joints[:, :, 0, 1], (192, 256))
    np.testing.assert_allclose(found[0].numpy(), data[f"{case}_{'i' if whole else ''}target"], atol=1e-5)
    np.testing.assert_allclose(weights[0].numpy(), data[f"{case}_{'i' if whole else ''}weight"])


def test_old_targets(vectors: Path) -> None:
    data = np.load(vectors / "targets.npz")
    points = torch.from_numpy(data["old_pts"])
    for point, wanted in zip(points, data["old_gauss"], strict=True):
        maps = targets.old_heatmaps(point[None, None, :2], (64, 80), sigma=int(point[2]))
        np.testing.assert_allclose(maps[0, 0].numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("case", range(6))
def test_sikr_loss_and_gradient(vectors: Path, case: int) -> None:
    data = np.load(vectors / "sikr.npz")
    x = torch.from_numpy(data[f"{case}_x"]).requires_grad_()
    gt, vis = torch.from_numpy(data[f"{case}_gt"]), torch.from_numpy(data[f"{case}_vis"])
    loss = sikr.sikr_loss(x, gt, vis, str(data[f"{case}_norm"]))
    loss.backward()
    assert x.grad is not None
    np.testing.assert_allclose(loss.item(), data[f"{case}_loss"], rtol=1e-4)
    np.testing.assert_allclose(x.grad.numpy(), data[f"{case}_grad"], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("case", range(4))
def test_sikr_operator(vectors: Path, case: int) -> None:
    data = np.load(vectors / "sikr.npz")
    x = torch.from_numpy(data[f"op{case}_in"]).requires_grad_()
    out = sikr.SymmetricIntegral.apply(x)
    out.backward(torch.from_numpy(data[f"op{case}_gout"]))
    assert x.grad is not None
    np.testing.assert_allclose(out.detach().numpy(), data[f"op{case}_out"], atol=1e-5)
    np.testing.assert_allclose(x.grad.numpy(), data[f"op{case}_gin"], atol=1e-6, rtol=1e-4)
