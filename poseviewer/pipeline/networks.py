"""The loaded networks of one configuration, on one device."""

from __future__ import annotations

import zlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
import torch
from torch import Tensor

from poseviewer import __version__
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.conventions import SETTLED, SETTLED_NETWORK
from poseviewer.nets.weights import EstimatorSpec, LoadedEstimator
from poseviewer.pipeline.backends import Backend
from poseviewer.pipeline.config import PrecisionName
from poseviewer.pipeline.decoding import Answer, floats, merged
from poseviewer.pipeline.detector import Detector
from poseviewer.pipeline.devices import (
    autocast,
    device_name,
)


class Networks:
    """Detector and estimator of one configuration; the detector is loaded when it is first needed.

    Args:
        estimator: a loaded estimator on ``device``.
        device: where both networks are.
        precision: of the estimator.
        detector: a loaded detector, or None to load ``detector_path`` on first use.
        detector_path: "" is the bundled one.
        estimator_name: file name, for the run's record.
        backend: what computes the estimator.
    """

    def __init__(
        self,
        estimator: LoadedEstimator,
        device: torch.device,
        precision: PrecisionName = "float32",
        *,
        detector: Any = None,
        detector_path: str = "",
        estimator_name: str = "",
        backend: Backend | None = None,
    ) -> None:
        self.estimator = estimator
        self.device = device
        self.precision: PrecisionName = precision
        self.estimator_name = estimator_name
        self.backend = backend or Backend(precision=precision)
        self._detector = detector
        self._detector_path = detector_path
        spec = estimator.spec
        self.joints = spec.joints
        self.skeleton = spec.skeleton
        shape = (1, 3, 1, 1)
        self._mean = 255.0 * torch.tensor(spec.mean, device=device).view(shape)
        self._scale = 1 / (255.0 * torch.tensor(spec.std, device=device).view(shape))

    @property
    def spec(self) -> EstimatorSpec:
        """What must be known about the estimator."""
        return self.estimator.spec

    @property
    def detector(self) -> Any:
        """The detector; raises WeightsError or MissingPartError if it cannot be loaded."""
        if self._detector is None:
            self._detector = Detector.load(self._detector_path or None, self.device)
        return self._detector

    def normalise(self, crops: Tensor) -> Tensor:
        """``(n, 3, h, w)`` RGB float 0..255 to what the estimator takes, blue first where it wants that."""
        inputs = (crops - self._mean).mul_(self._scale)
        plain = self.backend.name == "eager"
        layout = torch.contiguous_format if plain else torch.channels_last
        return (inputs.flip(1) if self.spec.bgr else inputs).contiguous(memory_format=layout)

    def answer(self, inputs: Tensor, *, flip: bool = False) -> Answer:
        """Run the estimator on normalised crops ``(n, 3, h, w)``; returns what ``spec.output`` says, float32.

        Args:
            flip: average with the answer to the mirrored crops, where the joint set is known.
        """
        plain = self._raw(inputs)
        if flip and self.skeleton:
            return merged(self.spec, plain, self._raw(inputs.flip(3)), skeleton(self.skeleton).flip)
        return plain

    def theta(self, inputs: Tensor) -> Tensor | None:
        """Run the localisation network on normalised proposal crops; ``(n, 2, 3)`` float32, None without one."""
        if self.estimator.stn is None:
            return None
        # Six numbers that place the crop: always in float32.
        answer: Tensor = self.estimator.stn(inputs)
        return answer.float()

    def _raw(self, inputs: Tensor) -> Answer:
        with autocast(self.device, self.precision):
            answer: Answer = self.estimator.module(inputs)
        return floats(answer)

    def describe(self) -> dict[str, Any]:
        """Return what a run records: device, precision, weights by hash, versions; JSON-able."""
        spec, weights = self.spec, self.loaded_weights()
        return {
            "device": device_name(self.device),
            "precision": self.precision,
            "backend": {"name": self.backend.name, "difference": self.backend.difference},
            "detector": weights["detector"],
            "estimator": {
                **weights["estimator"],
                "family": spec.family,
                "joints": self.joints,
                "input_wh": list(spec.input_wh),
                "decode": spec.decode,
                "skeleton": self.skeleton,
                "stn": self.estimator.stn is not None,
            },
            "versions": {
                "poseviewer": __version__,
                "torch": str(torch.__version__),
                "ultralytics": _installed("ultralytics"),
            },
        }

    def loaded_weights(self) -> dict[str, dict[str, Any]]:
        """Return which weights these are: "detector", empty where none is loaded, and "estimator"; JSON-able.

        "fed" of the estimator changes with the facts that a person settles beside its file.
        """
        detector: dict[str, Any] = {}
        if self._detector is not None:
            spec = self._detector.spec
            detector = {"name": spec.name, "sha256": spec.sha256, "input_size": spec.input_size}
        estimator = {"name": self.estimator_name, "sha256": self.estimator.sha256, "fed": self._fed()}
        return {"detector": detector, "estimator": estimator}

    def _fed(self) -> str:
        """What a person may settle about a file changes its answers as another file would."""
        header = self.estimator.header
        network = header.network if header is not None else None
        facts = [getattr(self.spec, name) for name in SETTLED if hasattr(self.spec, name)]
        facts += [getattr(getattr(network, "backbone", None), name, None) for name in SETTLED_NETWORK]
        return f"{zlib.crc32(msgspec.json.encode(facts)):08x}"

    def weights_hash(self) -> str:
        """Return a short name for the weights: detector and estimator."""
        detector = self._detector.spec.sha256 if self._detector is not None else self._detector_path
        computed = f"{self._fed()}-{self.backend.name}-{self.precision}-{self.device.type}"
        return f"{detector[:16]}-{self.estimator.sha256[:16]}-{computed}"


def _installed(name: str) -> str:
    """Return the version of an installed package without importing it, or ""."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
