"""Weights files that a person offers: read the numbers, run nothing."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from poseviewer.core.errors import WeightsError
from poseviewer.nets.inert import plain, stand_ins
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
    with pytest.raises(WeightsError, match=r"old\.pt is not a weights file in torch's format"):
        read_torch(path)
    assert not marker.exists()


def save_early(content: object, path: Path) -> None:
    """As torch before 1.6 wrote files."""
    torch.save(content, path, _use_new_zipfile_serialization=False)


def test_early_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "early.pth"
    state = OrderedDict(weight=torch.arange(6.0).view(2, 3), half=torch.ones(2).half(), count=torch.tensor(4))
    save_early({"state_dict": state, "epoch": 3}, path)
    content = read_torch(path)
    assert content["epoch"] == 3
    for name, tensor in state.items():
        assert torch.equal(content["state_dict"][name], tensor)


def test_code_in_an_early_file_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "evil.pth"
    save_early({"weight": torch.zeros(1), "extra": _RunsCode(marker)}, path)
    with pytest.raises(WeightsError, match=r"evil\.pth was not opened.*posix\.system"):
        read_torch(path, stand_ins())
    assert not marker.exists()


def test_code_hidden_in_the_later_parts_of_an_early_file_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "evil.pth"
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"a": 1}, _RunsCode(marker)]
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    with pytest.raises(WeightsError, match=r"posix\.system"):
        read_torch(path, stand_ins())
    path.write_bytes(b"".join(pickle.dumps(part, protocol=4) for part in parts))
    with pytest.raises(WeightsError, match="pickle protocol"):
        read_torch(path, stand_ins())
    assert not marker.exists()


def mmengine_metadata(marker: Path | None = None) -> dict[str, object]:
    """What MMEngine writes beside the tensors, made with classes of the same names."""
    package = types.ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        def __init__(self) -> None:
            self._log_history = np.arange(3.0)
            self._statistics_methods = OrderedDict(mean=self.mean)

        def mean(self) -> float:
            return 1.0

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = package.__name__, "HistoryBuffer"
    package.HistoryBuffer = HistoryBuffer
    for name in ("mmengine", "mmengine.logging", "mmengine.logging.history_buffer"):
        sys.modules[name] = package
    content: dict[str, object] = {
        "meta": {
            "cfg": "codec = dict(type='SimCCLabel', input_size=(192, 256))",
            "dataset_meta": {"dataset_name": "coco", "sigmas": np.array([0.026, 0.025], np.float32), "n": np.int64(17)},
        },
        "message_hub": {"log_scalars": OrderedDict({"train/loss": HistoryBuffer()})},
        "state_dict": OrderedDict(weight=torch.ones(2)),
    }
    if marker is not None:
        content["extra"] = _RunsCode(marker)
    return content


@pytest.fixture
def _no_mmengine() -> Iterator[None]:
    yield
    for name in ("mmengine", "mmengine.logging", "mmengine.logging.history_buffer"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("_no_mmengine")
@pytest.mark.parametrize("early", [False, True])
def test_mmengine_metadata_becomes_plain_data(tmp_path: Path, early: bool) -> None:
    path = tmp_path / "rtmpose.pth"
    content = mmengine_metadata()
    save_early(content, path) if early else torch.save(content, path)
    with pytest.raises(WeightsError, match="HistoryBuffer"):
        read_torch(path)
    read = read_torch(path, stand_ins())
    meta = plain(read["meta"])
    assert meta["dataset_meta"]["dataset_name"] == "coco"
    assert meta["dataset_meta"]["sigmas"] == pytest.approx([0.026, 0.025])
    assert meta["dataset_meta"]["n"] == 17
    hub = plain(read["message_hub"])
    assert hub["log_scalars"]["train/loss"]["_log_history"] == [0.0, 1.0, 2.0]
    assert hub["log_scalars"]["train/loss"]["_statistics_methods"] == {"mean": None}
    assert torch.equal(read["state_dict"]["weight"], torch.ones(2))


@pytest.mark.usefixtures("_no_mmengine")
def test_code_beside_mmengine_metadata_is_refused(tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save(mmengine_metadata(marker), path)
    with pytest.raises(WeightsError, match=r"posix\.system") as caught:
        read_torch(path, stand_ins())
    assert "HistoryBuffer" not in str(caught.value)
    assert not marker.exists()


class _GetsAttributes:
    """Reaches for an attribute through the one function that statistics tables name."""

    def __reduce__(self) -> tuple[object, ...]:
        return getattr, (torch.Tensor, "__class__")


def test_getattr_in_a_file_gets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "reach.pth"
    torch.save({"reach": _GetsAttributes(), "weight": torch.ones(1)}, path)
    assert read_torch(path, stand_ins())["reach"] is None


def test_an_array_of_objects_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "objects.pth"
    torch.save({"fine": np.arange(2), "odd": np.array([None, "a"], dtype=object)}, path)
    assert plain(read_torch(path, stand_ins())) == {"fine": [0, 1], "odd": None}


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


def test_a_few_bytes_that_stand_for_endless_lists_are_cut_short(tmp_path: Path) -> None:
    nested: list[object] = [0] * 10
    for _ in range(11):
        nested = [nested] * 10
    path = tmp_path / "bomb.pth"
    torch.save({"meta": nested, "weight": torch.ones(1)}, path)
    assert path.stat().st_size < 5000
    flat = [plain(read_torch(path, stand_ins())["meta"])]
    count = 0
    while flat:
        item = flat.pop()
        count += 1
        flat += item if isinstance(item, list) else []
    assert count < 200_000
