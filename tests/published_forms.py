"""Weight files as publishers' training programs write them: wrappers, prefixes, what stands beside the tensors."""

from __future__ import annotations

import pickle
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

State = Mapping[str, Tensor]
MAGIC = 0x1950A86A20F9469CFC6C


def bare(state: State) -> Any:
    """As AlphaPose's train.py."""
    return dict(state)


def uncounted(state: State) -> Any:
    """As torch before 0.4.1 saved them: without the counts of batches."""
    return OrderedDict((key, value) for key, value in state.items() if not key.endswith("num_batches_tracked"))


def parallel(state: State) -> Any:
    """As a parallel network saves itself."""
    return OrderedDict((f"module.{key}", value) for key, value in state.items())


def optimizer_of(state: State) -> dict[str, Any]:
    """An optimizer's state after a step, for a few of the tensors."""
    chosen = [torch.nn.Parameter(value.clone()) for value in list(state.values())[:2] if value.is_floating_point()]
    optimizer = torch.optim.Adam(chosen, 1e-3)
    for value in chosen:
        value.grad = torch.ones_like(value)
    optimizer.step()
    return dict(optimizer.state_dict())


def training_state(state: State) -> Any:
    """As HRNet, HigherHRNet and SimpleBaseline save checkpoint.pth; the best result is a number of numpy."""
    about = {"epoch": 210, "model": "pose", "perf": np.float64(0.7), "optimizer": optimizer_of(state)}
    return {**about, "state_dict": parallel(state), "best_state_dict": OrderedDict(state)}


def half_precision(state: State) -> Any:
    """As HigherHRNet's FP16 training on several processors; its network is the second of two modules."""
    named = OrderedDict((f"module.1.{key}", value.half()) for key, value in uncounted(state).items())
    return {"epoch": 300, "model": "pose_higher_hrnet", "state_dict": named, "perf": 0.0}


def tutorial(state: State) -> Any:
    """As the HRNet tutorial saves model-200.pth, with the scale of mixed precision."""
    plan = {"milestones": {170: 1, 200: 1}, "gamma": 0.1, "last_epoch": 200}
    about = {"optimizer": optimizer_of(state), "lr_scheduler": plan, "epoch": 200, "scaler": {"scale": 65536.0}}
    return {"model": OrderedDict(state), **about}


def trainer(state: State) -> Any:
    """As pose-ae-train saves checkpoint.pth.tar."""
    named = OrderedDict((f"model.module.{key}", value) for key, value in state.items())
    return {"state_dict": named, "optimizer": optimizer_of(state), "epoch": 100}


def mmengine(state: State) -> Any:
    """As MMEngine saves best_coco_AP_epoch_210.pth, without the classes that are not installed here."""
    dataset = {
        "dataset_name": "coco",
        "sigmas": np.ones(17, np.float32),
        "keypoint_colors": np.zeros((17, 3), np.uint8),
        "upper_body_ids": [np.int64(0)],
        "flip_pairs": [("left_eye", "right_eye")],
    }
    hub = {"log_scalars": OrderedDict(), "runtime_info": OrderedDict(best_score=np.float32(0.7)), "resumed_keys": {}}
    return {
        "meta": {"seed": 0, "epoch": 210, "dataset_meta": dataset, "mmengine_version": "0.6.0"},
        "state_dict": OrderedDict(state),
        "message_hub": hub,
        "optimizer": optimizer_of(state),
        "param_schedulers": [torch.optim.lr_scheduler.MultiStepLR(_optimizer(), [170, 200]).state_dict()],
    }


def mmpose_zero(state: State) -> Any:
    """As MMPose before 1.0 saves epoch_210.pth: its name of the head, its text, no data set."""
    named = OrderedDict((key.replace("head.", "keypoint_head.", 1), value) for key, value in state.items())
    meta = {"mmpose_version": "0.18.0", "config": "model = dict(type='TopDown')", "epoch": 210, "hook_msgs": {}}
    return {"meta": meta, "state_dict": named, "optimizer": optimizer_of(state)}


def _optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 0.1)


def with_classes_of_mmengine(content: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same with objects of classes that carry MMEngine's names, as its files hold them.

    The classes exist until the test ends; a reader must do without them.
    """

    class HistoryBuffer:
        def __init__(self) -> None:
            self._log_history, self._count_history = np.arange(3.0), np.ones(3)
            self._max_length = 1_000_000
            self._statistics_methods = {"min": HistoryBuffer.min}

        def min(self) -> float:
            return 0.0

    class ConfigDict(dict[str, Any]):
        def __reduce_ex__(self, protocol: Any) -> Any:
            return self.__class__, (dict(self),)

    for module, made in (("mmengine.logging.history_buffer", HistoryBuffer), ("mmengine.config.config", ConfigDict)):
        made.__module__, made.__qualname__ = module, made.__name__
        names = module.split(".")
        for depth in range(len(names)):
            name = ".".join(names[: depth + 1])
            monkeypatch.setitem(sys.modules, name, sys.modules.get(name) or types.ModuleType(name))
        setattr(sys.modules[module], made.__name__, made)
    HistoryBuffer.min.__module__, HistoryBuffer.min.__qualname__ = HistoryBuffer.__module__, "HistoryBuffer.min"
    content["message_hub"]["log_scalars"]["train/loss"] = HistoryBuffer()
    content["meta"]["hooks"] = ConfigDict(type="EMAHook", momentum=ConfigDict(value=0.0002))
    return content


class _Numbers:
    """A tensor's numbers, which an early file keeps behind its pickles."""

    def __init__(self, key: str, values: np.ndarray) -> None:
        self.key, self.values = key, values


class _Rebuilt:
    """A tensor as torch 0.1 to 0.3 pickled it."""

    def __init__(self, numbers: _Numbers, value: Tensor) -> None:
        self.numbers, self.value = numbers, value

    def __reduce__(self) -> Any:
        place = (self.numbers, 0, tuple(self.value.shape), self.value.stride())
        return torch._utils._rebuild_tensor, place


class _EarlyPickler(pickle._Pickler):  # type: ignore[name-defined]
    """Names numbers as lying on a GPU; texts are Python 2's where ``python2``."""

    python2 = False
    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def persistent_id(self, value: object) -> Any:
        if not isinstance(value, _Numbers):
            return None
        kind = torch.cuda.FloatStorage if value.values.dtype == np.float32 else torch.cuda.LongStorage
        return "storage", kind, value.key, "cuda:0", value.values.size, None

    def save_text(self, value: str) -> None:
        if not self.python2:
            pickle._Pickler.save_str(self, value)  # type: ignore[attr-defined]
            return
        data = value.encode()
        self.write(b"T" + struct.pack("<i", len(data)) + data if len(data) > 255 else b"U" + bytes([len(data)]) + data)
        self.memoize(value)

    dispatch[str] = save_text


def write_from_gpu(path: Path, content: Any, *, python2: bool = False) -> None:
    """Write as torch before 0.4 did from a GPU; every tensor in ``content`` is replaced."""
    stored: list[_Numbers] = []

    def rebuilt(value: Any) -> Any:
        if isinstance(value, Tensor):
            stored.append(_Numbers(str(140_000_000 + len(stored)), value.detach().contiguous().numpy()))
            return _Rebuilt(stored[-1], value.detach().contiguous())
        if isinstance(value, Mapping):
            return type(value)((key, rebuilt(item)) for key, item in value.items())
        return [rebuilt(item) for item in value] if isinstance(value, list) else value

    parts = [{"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}, rebuilt(content)]
    with path.open("wb") as stream:
        for number in (MAGIC, 1001):
            pickle.dump(number, stream, protocol=2)
        for part in (*parts, [one.key for one in stored]):
            pickler = _EarlyPickler(stream, protocol=2)
            pickler.python2 = python2
            pickler.dump(part)
        for one in stored:
            stream.write(struct.pack("<q", one.values.size) + one.values.tobytes())
