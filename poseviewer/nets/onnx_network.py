"""An ONNX file as estimator: what it is fed and answers with from its graph's shapes, run by ONNX Runtime or OpenVINO.

Files that this program exported carry their facts. Others are recognised: two outputs ``(N, K, X)`` and ``(N, K, Y)``
are SimCC's, as in RTMPose's published exports; one output ``(N, K, h, w)`` is heatmaps; one ``(N, K, 2)``
coordinates. What shapes do not say (colours, normalisation, decoding) follows the file's name and may be settled in
the small file beside it (`nets.conventions`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from poseviewer.core.errors import MissingPartError, WeightsError
from poseviewer.nets.conventions import GUESS, Hints, hints_of, named_joints, settled_spec
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.nets.families import ALPHAPOSE, HRNET, MMPOSE, Convention
from poseviewer.nets.unpickle import require_file

Runtime = Literal["onnxruntime", "openvino"]
RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "openvino")
SPEC_KEY = "poseviewer"
INSTALL = "Install one with pip install 'poseviewer[fast]'."
MOST_JOINTS = 1024
NAMES: tuple[tuple[str, Convention], ...] = (
    ("alphapose", ALPHAPOSE),
    ("fast_", ALPHAPOSE),
    ("fastpose", ALPHAPOSE),
    ("vitpose", MMPOSE._replace(decode="udp", crop="mmpose_udp", flip_shift=False)),
    ("udp", MMPOSE._replace(decode="udp", crop="mmpose_udp", flip_shift=False)),
    ("td-hm", MMPOSE),
    ("mmpose", MMPOSE),
    ("hrnet", HRNET),
)
"""Words in file names and whose heatmaps they are."""


def installed_runtime(wanted: Runtime | None = None) -> Runtime | None:
    """A program to run ONNX files that is installed: ``wanted`` or any; None if there is none. Imports nothing."""
    names = RUNTIMES if wanted is None else (wanted,)
    return next((name for name in names if importlib.util.find_spec(name) is not None), None)


class OnnxNetwork(nn.Module):
    """A network in an ONNX file.

    Args:
        path: the file.
        runtime: "onnxruntime", "openvino", or None for whichever is installed.
        threads: on the processor; 0 is the runtime's choice.
        precision: "float32", or with OpenVINO "bf16".

    Raises:
        MissingPartError: no runtime is installed.
        WeightsError: the file is not readable.
    """

    def __init__(
        self, path: Path, runtime: Runtime | None = None, *, threads: int = 0, precision: str = "float32"
    ) -> None:
        super().__init__()
        name = installed_runtime(runtime)
        if name is None:
            what = runtime or "onnxruntime or openvino"
            raise MissingPartError(f"{path.name} needs the package {what} to run.", remedy=INSTALL)
        self.runtime: Runtime = name
        made = _OnnxRuntime(path, threads) if name == "onnxruntime" else _OpenVino(path, threads, precision)
        self._session = made
        self.input_shape: tuple[int, ...] = made.input_shape
        self.output_shapes: tuple[tuple[int, ...], ...] = made.output_shapes
        self.metadata: dict[str, str] = made.metadata

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the graph's outputs, float32 on ``x``'s device."""
        inputs = x.detach().to("cpu", torch.float32).contiguous().numpy()
        fixed = self.input_shape[0]
        if fixed > 0 and fixed != len(inputs):
            parts = [self._run_fixed(inputs[i : i + fixed], fixed) for i in range(0, len(inputs), fixed)]
            outputs: Sequence[Any] = [np.concatenate(rows) for rows in zip(*parts, strict=True)]
        else:
            outputs = self._session.run(inputs)
        tensors = tuple(torch.from_numpy(np.array(one, np.float32)).to(x.device) for one in outputs)
        return tensors[0] if len(tensors) == 1 else tensors

    def measured(self, input_wh: tuple[int, int]) -> tuple[tuple[int, ...], ...]:
        """The outputs' shapes for one black crop, for graphs that leave sizes open."""
        black = np.zeros((max(1, self.input_shape[0]), 3, input_wh[1], input_wh[0]), np.float32)
        return tuple(tuple(one.shape) for one in self._session.run(black))

    def _run_fixed(self, inputs: Any, count: int) -> Sequence[Any]:
        """Graphs made for one number of crops get that many."""
        missing = count - len(inputs)
        padded = np.concatenate([inputs, np.repeat(inputs[-1:], missing, axis=0)]) if missing else inputs
        return [one[: len(inputs)] for one in self._session.run(padded)]


class _OnnxRuntime:
    """ONNX Runtime, float32."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base class
            raise _unreadable(path, error) from error
        self._path = path
        given = self._session.get_inputs()
        self._names = [one.name for one in given]
        self.input_shape = _sizes(given[0].shape) if len(given) == 1 else ()
        self.output_shapes = tuple(_sizes(one.shape) for one in self._session.get_outputs())
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, inputs: Any) -> Sequence[Any]:
        """The outputs for one batch."""
        try:
            answer: Sequence[Any] = self._session.run(None, {self._names[0]: inputs})
        except Exception as error:  # its exceptions share no base class
            raise _unreadable(self._path, error) from error
        return answer


class _OpenVino:
    """OpenVINO on the processor; precision said explicitly, as its own choice may be bf16."""

    def __init__(self, path: Path, threads: int, precision: str) -> None:
        import openvino

        self._path = path
        core = openvino.Core()
        try:
            model = core.read_model(str(path))
            settings: dict[str, Any] = {
                "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
                "PERFORMANCE_HINT": "LATENCY",
            }
            if threads:
                settings["INFERENCE_NUM_THREADS"] = threads
            self._model = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise _unreadable(path, error) from error
        self.input_shape = _partial(model.inputs[0]) if len(model.inputs) == 1 else ()
        self.output_shapes = tuple(_partial(one) for one in model.outputs)
        self.metadata: dict[str, str] = _framework_metadata(model)

    def run(self, inputs: Any) -> Sequence[Any]:
        """The outputs for one batch."""
        try:
            answer = self._model(inputs)
        except RuntimeError as error:
            raise _unreadable(self._path, error) from error
        return [answer[number] for number in range(len(self.output_shapes))]


def load_onnx(path: Path, device: torch.device) -> tuple[OnnxNetwork, EstimatorSpec, tuple[str, ...]]:
    """An ONNX file as a network, what it is fed and answers with, and which of these facts were guessed.

    Raises:
        WeightsError: its inputs or outputs are none that a top-down pipeline can use.
        MissingPartError: nothing that runs ONNX files is installed.
    """
    network = OnnxNetwork(require_file(path))
    spec, known_by, _ = onnx_spec(path, network)
    return network.to(device), spec, tuple(fact for fact, source in known_by.items() if source == GUESS)


def onnx_spec(
    path: Path, network: OnnxNetwork, *, guess: bool = False
) -> tuple[EstimatorSpec, dict[str, str], tuple[str, ...]]:
    """Facts of an ONNX file, where each comes from, and notes.

    Args:
        guess: take the usual size where the graph takes any and nobody settled one; the source says "guess".

    Raises:
        WeightsError: as :func:`load_onnx`.
    """
    if text := network.metadata.get(SPEC_KEY):
        try:
            return msgspec.json.decode(text, type=EstimatorSpec), {"everything": "description in the file"}, ()
        except msgspec.MsgspecError as error:
            raise WeightsError(
                f"The description in {path.name} is damaged, so it cannot be opened.", file=path
            ) from error
    hints = hints_of(path, {})
    input_wh = _input(path, network, hints, guess=guess)
    joints, convention, maps = _answer(path, network, input_wh, hints)
    name, sources, notes = named_joints(joints, hints)
    free = min(network.input_shape[2:]) <= 0
    # The answers' shapes say SimCC and coordinates, which only MMPose exports so; of heatmaps they say nothing.
    trained = GUESS if convention.output == "heatmaps" else f"{convention.title}'s published files"
    sources.update(input_wh=GUESS if free else "graph", mean=GUESS, crop=trained, decode=trained)
    notes += (
        f"An ONNX file does not say how it was trained: it is taken for {convention.title}'s. "
        "Colours, normalisation, crop and decoding can be settled with poseviewer models inspect --set.",
    )
    spec = EstimatorSpec(
        family="onnx",
        skeleton=name,
        joints=joints,
        input_wh=input_wh,
        heatmap_wh=maps,
        mean=convention.mean,
        std=convention.std,
        decode=convention.decode,
        output=convention.output,
        crop=convention.crop,
        flip_shift=convention.flip_shift,
        bgr=convention.bgr,
    )
    return settled_spec(spec, hints, sources, path), sources, notes


def _input(path: Path, network: OnnxNetwork, hints: Hints, *, guess: bool) -> tuple[int, int]:
    shape = network.input_shape
    if len(shape) != 4 or shape[1] != 3:
        raise WeightsError(f"{path.name} takes no pictures of three colour planes, so it is no estimator.", file=path)
    height, width = shape[2:]
    wish = hints.settled.get("input_wh")
    if width <= 0 or height <= 0:
        if not isinstance(wish, list | tuple) or len(wish) != 2:
            if guess:
                return HRNET.input_wh
            raise WeightsError(
                f"{path.name} takes pictures of any size, so its input size must be settled.",
                file=path,
                remedy=f"poseviewer models inspect {path} --set input_wh=192,256",
            )
        width, height = int(wish[0]), int(wish[1])
    return width, height


def _answer(
    path: Path, network: OnnxNetwork, input_wh: tuple[int, int], hints: Hints
) -> tuple[int, Convention, tuple[int, int]]:
    """Joints, convention and map size from the outputs' shapes."""
    shapes = network.output_shapes
    width, height = input_wh
    if any(side <= 0 for shape in shapes for side in shape[1:]):
        shapes = network.measured(input_wh)
    if len(shapes) == 2 and all(len(shape) == 3 for shape in shapes) and shapes[0][1] == shapes[1][1]:
        x, y = shapes[0][2], shapes[1][2]
        if 0 < shapes[0][1] <= MOST_JOINTS and x > 0 and x * height == y * width:
            return shapes[0][1], MMPOSE._replace(output="simcc", decode="simcc", flip_shift=False), (x, y)
    if len(shapes) == 1 and len(shapes[0]) == 4 and 0 < shapes[0][1] <= MOST_JOINTS:
        cells = shapes[0][3], shapes[0][2]
        convention = next((one for word, one in NAMES if word in hints.stem), HRNET)
        return shapes[0][1], convention, cells
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][2] == 2 and 0 < shapes[0][1] <= MOST_JOINTS:
        return shapes[0][1], MMPOSE._replace(output="regression", decode="regression"), input_wh
    found = " and ".join(" x ".join("?" if side <= 0 else str(side) for side in shape) for shape in shapes)
    raise WeightsError(
        f"{path.name} answers with {found}, which are neither heatmaps nor the two distributions of SimCC.", file=path
    )


def _sizes(shape: Sequence[object]) -> tuple[int, ...]:
    """Sizes with -1 for those that are free."""
    return tuple(side if isinstance(side, int) else -1 for side in shape)


def _partial(port: Any) -> tuple[int, ...]:
    return tuple(side.get_length() if side.is_static else -1 for side in port.get_partial_shape())


def _framework_metadata(model: Any) -> dict[str, str]:
    """OpenVINO keeps an ONNX file's metadata under "framework"."""
    place = ["framework", SPEC_KEY]
    return {SPEC_KEY: str(model.get_rt_info(place).value)} if model.has_rt_info(place) else {}


def _unreadable(path: Path, error: Exception) -> WeightsError:
    cause = str(error).strip().split("\n", 1)[0][:200]
    return WeightsError(f"{path.name} is no ONNX file that can be run: {cause}", file=path)
