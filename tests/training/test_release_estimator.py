"""Released estimators are the mean of what trainings left, with one transformer and everything that was learnt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from poseviewer.core.errors import CallError
from poseviewer.nets.fastpose import FastPose, FastPoseConfig, initialise
from poseviewer.nets.header import EstimatorHeader
from poseviewer.nets.stn import Localiser, LocaliserConfig
from poseviewer.nets.weights import load_estimator, save_estimator
from poseviewer.training.estimator import estimator_spec
from poseviewer.training.learnt import learnt_by
from poseviewer.training.release_estimator import main, release_estimator
from poseviewer.training.schedule import Stage
from tests.training.test_estimator import TINY, tiny_config


def trained(path: Path, seed: int, config: FastPoseConfig = TINY, *, stn: bool = False) -> Path:
    """Save a network as a training might leave it; every seed learnt two frames, one of its own."""
    torch.manual_seed(seed)
    net = FastPose(config)
    initialise(net)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)  # type: ignore[union-attr, operator]
    localiser = LocaliserConfig("strided", 8, "basic", (1, 1), (16, 24), 4, 4, (3, 2)) if stn else None
    spec = replace(estimator_spec(tiny_config(path.parent, 1.0), Stage(0.0, (64, 96), 2.0)), stn=stn)
    header = EstimatorHeader(spec, config, localiser, learnt={"aa": ((seed, seed + 1),)})
    save_estimator(path, net, header, Localiser(localiser) if localiser else None, half=False)
    return path


def test_a_release_is_the_mean_with_the_named_transformer(tmp_path: Path) -> None:
    files = [trained(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2, 5)]
    old = trained(tmp_path / "old.safetensors", 9, stn=True)
    out = tmp_path / "out.safetensors"
    digest = release_estimator(files, out, transformer=old, note="three")
    made, parts = load_estimator(out), [load_estimator(file).module.state_dict() for file in files]
    assert made.sha256 == digest
    assert made.spec == replace(load_estimator(files[0]).spec, stn=True)
    for name, value in made.module.state_dict().items():
        if value.is_floating_point():
            mean = torch.stack([part[name] for part in parts]).mean(0)
            torch.testing.assert_close(value, mean.half().float(), rtol=1e-3, atol=1e-6)
    assert made.stn is not None
    theirs = load_estimator(old).stn
    assert theirs is not None
    for name, value in made.stn.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name].half().to(value.dtype), rtol=1e-3, atol=1e-6)
    assert learnt_by(out) == {"aa": ((1, 3), (5, 6))}


def test_without_a_transformer_named_the_last_ones_stays(tmp_path: Path) -> None:
    files = [trained(tmp_path / "1.safetensors", 1), trained(tmp_path / "2.safetensors", 2, stn=True)]
    release_estimator(files, tmp_path / "with.safetensors", transformer=None, note="")
    release_estimator(files[::-1], tmp_path / "without.safetensors", transformer=None, note="")
    assert load_estimator(tmp_path / "with.safetensors").stn is not None
    assert load_estimator(tmp_path / "without.safetensors").stn is None


def test_what_does_not_go_together_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = trained(tmp_path / "1.safetensors", 1)
    other = trained(tmp_path / "2.safetensors", 2, replace(TINY, depths=(1, 1, 2, 1)))
    out = tmp_path / "out.safetensors"
    with pytest.raises(CallError, match="not of one network"):
        release_estimator([one, other], out, transformer=None, note="")
    with pytest.raises(CallError, match=r"1\.safetensors has no spatial transformer"):
        release_estimator([one], out, transformer=one, note="")
    assert main([str(tmp_path / "gone.safetensors"), "--note", "x", "--out", str(out)]) != 0
    assert "gone.safetensors" in capsys.readouterr().err
    assert not out.exists()
    assert main([str(one), "--note", "x", "--out", str(out)]) == 0
    assert "sha256" in capsys.readouterr().out
