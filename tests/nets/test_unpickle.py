"""Weights files that a person offers: read the numbers, run nothing."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from poseviewer.core.errors import WeightsError
from poseviewer.nets.unpickle import metadata_json, read_safetensors, read_torch, write_safetensors


class _RunsCode:
    """What an attacker would put into a weights file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


class _Foreign:
    """A class of the file's author."""


def test_tensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    state = OrderedDict(weight=torch.arange(6.0).view(2, 3), count=torch.tensor(4))
    torch.save({"state": state, "epoch": 3, "names": ["a"]}, path)
    content = read_torch(path)
    assert content["epoch"] == 3
    assert torch.equal(content["state"]["weight"], state["weight"])


def test_code_in_a_pickle_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "evil.pt"
    torch.save({"state": {"weight": torch.zeros(1)}, "extra": _RunsCode(marker)}, path)
    with pytest.raises(WeightsError, match=r"evil\.pt was not opened.*posix\.system") as caught:
        read_torch(path)
    assert caught.value.file == path
    assert not marker.exists()


def test_code_in_an_old_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "old.pt"
    path.write_bytes(pickle.dumps(_RunsCode(marker)))
    with pytest.raises(WeightsError, match=r"old\.pt is not a weights file"):
        read_torch(path)
    assert not marker.exists()


def test_an_allowed_name_beside_a_foreign_one_is_still_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "mixed.pt"
    torch.save([torch.nn.SiLU(), _RunsCode(marker)], path)
    name = "torch.nn.modules.activation.SiLU"

    def resolved() -> type:
        raise RuntimeError("an allowed name was resolved although the file is refused")

    with pytest.raises(WeightsError, match="system") as caught:
        read_torch(path, {name: resolved})
    assert name not in str(caught.value)
    assert not marker.exists()


def test_an_allowed_class_is_read(tmp_path: Path) -> None:
    path = tmp_path / "layer.pt"
    torch.save(torch.nn.SiLU(), path)
    with pytest.raises(WeightsError, match="SiLU"):
        read_torch(path)
    layer = read_torch(path, {"torch.nn.modules.activation.SiLU": lambda: torch.nn.SiLU})
    assert isinstance(layer, torch.nn.SiLU)
    # The process-wide list of safe names is as before.
    with pytest.raises(WeightsError, match="SiLU"):
        read_torch(path)


def test_many_foreign_names_make_one_short_sentence(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    layers = [torch.nn.SiLU(), torch.nn.ReLU(), torch.nn.GELU(), torch.nn.Tanh(), torch.nn.ELU(), torch.nn.CELU()]
    torch.save(layers, path)
    with pytest.raises(WeightsError, match="and 2 more"):
        read_torch(path)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_one_sentence(tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.pt"
    torch.save({"weight": torch.zeros(64, 64)}, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"cut\.pt") as caught:
        read_torch(path)
    assert "\n" not in str(caught.value)


def test_missing_empty_and_folder(tmp_path: Path) -> None:
    (tmp_path / "empty.pt").touch()
    for name, cause in (("none.pt", "does not exist"), ("empty.pt", "is empty"), (".", "is not a file")):
        for read in (read_torch, read_safetensors):
            with pytest.raises(WeightsError, match=cause):
                read(tmp_path / name)


def test_safetensors_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = {"a": torch.randn(3, 4).t(), "b": torch.tensor(7), "c": torch.randn(5).half()}
    write_safetensors(path, tensors, {"about": '{"layers": 3}'})
    back, metadata = read_safetensors(path)
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)
    assert metadata_json(metadata, "about", file=path) == {"layers": 3}


def test_safetensors_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"this is a text file called weights")
    with pytest.raises(WeightsError, match=r"w\.safetensors is not a readable safetensors file"):
        read_safetensors(path)


@pytest.mark.parametrize("text", ["{", "[1]", '"word"'])
def test_a_strange_entry_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(WeightsError, match="'about'"):
        metadata_json({"about": text}, "about", file=tmp_path / "w.safetensors")
