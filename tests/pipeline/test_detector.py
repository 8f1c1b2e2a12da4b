"""The detector: LetterBox's geometry, the way back to displayed pixels, thresholds, real people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from poseviewer.core.errors import CallError
from poseviewer.nets.ultralytics_parts import ultralytics_parts
from poseviewer.nets.yolo import YoloWeights
from poseviewer.pipeline.detector import Detector, Letterbox

SIDES = st.integers(1, 2200)


class _Scripted(nn.Module):
    """Stands for a network: answers with given boxes (input pixels, xyxy) and scores, whatever it sees."""

    def __init__(self, boxes: Tensor, scores: Tensor, *, end_to_end: bool = False) -> None:
        super().__init__()
        self.stride = torch.tensor([8.0, 16.0, 32.0])
        self.boxes, self.scores, self.end_to_end = boxes, scores, end_to_end
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        self.seen.append(images)
        count = len(images)
        if self.end_to_end:
            best, number = self.scores.max(1)
            rows = torch.cat([self.boxes, best[:, None], number[:, None].float()], 1)
            return rows.expand(count, -1, -1).clone(), {}
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        columns = torch.cat([(self.boxes[:, :2] + self.boxes[:, 2:]) / 2, sides, self.scores], 1).T
        return columns.expand(count, -1, -1).clone(), {}


def _detector(network: nn.Module, classes: int = 1, person: int = 0, **options: float) -> Detector:
    names = {number: "person" if number == person else f"thing {number}" for number in range(classes)}
    end = bool(getattr(network, "end_to_end", False))
    weights = YoloWeights(network, "scripted", "0" * 64, {}, names, person, {}, end_to_end=end)
    return Detector(weights, **options)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(height=SIDES, width=SIDES, size=st.sampled_from([64, 320, 416, 640, 1280]))
def test_letterbox_geometry_is_that_of_ultralytics(height: int, width: int, size: int) -> None:
    fit = Letterbox.fit(height, width, size, 32)
    reference = ultralytics_parts().letterbox((size, size), auto=True, stride=32)
    wanted = reference.get_params({"img": np.broadcast_to(np.uint8(0), (height, width, 3))})
    assert (fit.inner_width, fit.inner_height) == tuple(wanted["new_unpad"])
    assert (fit.top, fit.bottom, fit.left, fit.right) == tuple(
        wanted[key] for key in ("top", "bottom", "left", "right")
    )
    assert (fit.inner_height + fit.top + fit.bottom) % 32 == 0
    assert (fit.inner_width + fit.left + fit.right) % 32 == 0


@pytest.mark.parametrize(("height", "width"), [(1080, 810), (333, 517), (97, 401), (720, 1280), (150, 150)])
def test_letterbox_pixels_are_those_of_ultralytics(height: int, width: int) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    picture = np.ascontiguousarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))
    fit = Letterbox.fit(height, width, 320, 32)
    ours = fit.apply(torch.from_numpy(picture).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy() * 255
    theirs = ultralytics_parts().letterbox((320, 320), auto=True, stride=32)(image=picture)
    assert ours.shape == theirs.shape
    difference = np.abs(ours - theirs.astype(np.float32))
    assert difference.max() <= 2.0
    assert difference.mean() < 0.5


@pytest.mark.parametrize(("height", "width"), [(72, 128), (108, 192), (97, 61), (64, 64), (900, 2), (1, 1)])
@pytest.mark.parametrize("smooth", [True, False])
def test_frames_are_scaled_alike_however_they_lie_in_memory(height: int, width: int, smooth: bool) -> None:
    """To the last bit as one planar frame in one call; thin frames in batches are where torch itself confuses axes."""
    decoded = np.random.default_rng(3).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    frames = torch.from_numpy(decoded).permute(0, 3, 1, 2)
    fit = Letterbox.fit(height, width, 64, 32)
    inner = (fit.inner_height, fit.inner_width)
    for frame, *others in zip(
        frames, *(fit.apply(one, smooth=smooth) for one in (frames, frames.contiguous(), frames.float())), strict=True
    ):
        plain = frame.contiguous()[None].float()
        if inner != (height, width):
            plain = torch.nn.functional.interpolate(plain, inner, mode="bilinear", antialias=smooth)
        for other in others:
            seen = other[:, fit.top : fit.top + inner[0], fit.left : fit.left + inner[1]]
            assert torch.equal(seen, plain[0] / 255)


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(20, 2200),
    width=st.integers(20, 2200),
    size=st.sampled_from([320, 640]),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_boxes_come_back_where_they_were(height: int, width: int, size: int, corners: tuple[float, ...]) -> None:
    x0, x1 = sorted((corners[0] * width, corners[2] * width))
    y0, y1 = sorted((corners[1] * height, corners[3] * height))
    truth = torch.tensor([[x0, y0, x1, y1]])
    fit = Letterbox.fit(height, width, size, 32)
    scale = torch.tensor([fit.inner_width / width, fit.inner_height / height] * 2)
    inner = truth * scale + torch.tensor([fit.left, fit.top, fit.left, fit.top])
    torch.testing.assert_close(fit.back(inner), truth, atol=0.02, rtol=1e-5)


def _extent(line: Tensor) -> tuple[float, float]:
    """Start and length of a line's bright stretch, to a fraction of a pixel: its first pixel may be half bright."""
    first = int((line > 0.02).nonzero()[0])
    return first + 1 - float(line[first]), float(line.sum())


@pytest.mark.parametrize(("height", "width"), [(731, 1283), (1279, 333), (241, 243), (1080, 1920)])
def test_a_drawn_rectangle_is_found_at_its_place(height: int, width: int) -> None:
    """The rectangle is measured in the network's input itself, so picture and boxes are proved to agree."""
    left, top, right, bottom = width // 5, height // 3, width * 3 // 4, height * 5 // 6
    frame = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    frame[:, 0, top:bottom, left:right] = 255

    class Measuring(nn.Module):
        stride = torch.tensor([32.0])

        def forward(self, images: Tensor) -> tuple[Tensor]:
            red = images[0, 0] - images[0, 1]
            x0, w = _extent(red.amax(0))
            y0, h = _extent(red.amax(1))
            return (torch.tensor([[[x0 + w / 2], [y0 + h / 2], [w], [h], [0.9]]]),)

    detector = _detector(Measuring(), input_size=320)
    box = detector(frame)[0].boxes[0]
    tolerance = 1.0 * max(height, width) / 320
    wanted = torch.tensor([left, top, right, bottom], dtype=torch.float32)
    assert (box - wanted).abs().max() <= tolerance


def test_only_persons_above_the_threshold_sorted() -> None:
    boxes = torch.tensor([[0, 0, 50, 90], [100, 0, 150, 90], [200, 0, 250, 90], [100, 100, 150, 190.0]])
    scores = torch.tensor([[0.3, 0.0], [0.0, 0.9], [0.8, 0.1], [0.1, 0.0]])
    for end_to_end in (False, True):
        detector = _detector(_Scripted(boxes, scores, end_to_end=end_to_end), classes=2, input_size=320)
        found = detector(torch.zeros(2, 3, 320, 320, dtype=torch.uint8))
        assert len(found) == 2
        for persons in found:
            assert torch.equal(persons.boxes, boxes[[2, 0]])
            torch.testing.assert_close(persons.scores, torch.tensor([0.8, 0.3]))
            assert persons.boxes.dtype == persons.scores.dtype == torch.float32
        low = detector(torch.zeros(1, 3, 320, 320, dtype=torch.uint8), confidence=0.05)
        assert len(low[0].boxes) == 3


def test_doubled_boxes_are_one_person() -> None:
    boxes = torch.tensor([[0, 0, 100, 100], [0, 0, 100, 90], [0, 0, 100, 50.0]])
    detector = _detector(_Scripted(boxes, torch.tensor([[0.7], [0.9], [0.5]])), input_size=320)
    frame = torch.zeros(1, 3, 320, 320, dtype=torch.uint8)
    assert detector(frame)[0].scores.tolist() == pytest.approx([0.9, 0.5])
    assert detector(frame, iou=0.95)[0].scores.tolist() == pytest.approx([0.9, 0.7, 0.5])
    assert detector(frame, iou=0.3)[0].scores.tolist() == pytest.approx([0.9])


def test_at_most_so_many_persons() -> None:
    boxes = torch.arange(20.0)[:, None] * 15 + torch.tensor([[0, 0, 10, 10.0]])
    detector = _detector(_Scripted(boxes, torch.linspace(0.9, 0.3, 20)[:, None]), most=7, input_size=320)
    assert len(detector(torch.zeros(1, 3, 320, 320, dtype=torch.uint8))[0].boxes) == 7


def test_boxes_end_at_the_frame() -> None:
    network = _Scripted(torch.tensor([[-20, -20, 400, 400.0]]), torch.tensor([[0.9]]))
    found = _detector(network, input_size=320)(torch.zeros(1, 3, 100, 200, dtype=torch.uint8))
    assert found[0].boxes.tolist() == [[0, 0, 200, 100]]


def test_nobody_is_an_empty_result() -> None:
    network = _Scripted(torch.zeros(5, 4), torch.zeros(5, 1))
    found = _detector(network, input_size=320)([torch.zeros(3, 64, 64, dtype=torch.uint8)])
    assert found[0].boxes.shape == (0, 4)
    assert found[0].scores.shape == (0,)
    assert _detector(network, input_size=320)([]) == []


def test_the_input_size_is_a_multiple_of_the_stride() -> None:
    network = _Scripted(torch.zeros(5, 4), torch.zeros(5, 1))
    detector = _detector(network, input_size=330)
    assert detector.spec.input_size == 352
    detector(torch.zeros(1, 3, 200, 100, dtype=torch.uint8))
    assert network.seen[0].shape == (1, 3, 352, 192)


@pytest.mark.parametrize("value", [0.0, 0.009, 1.01, -1, float("nan")])
def test_a_senseless_confidence_is_a_wrong_call(value: float) -> None:
    network = _Scripted(torch.zeros(5, 4), torch.zeros(5, 1))
    with pytest.raises(CallError, match="between"):
        _detector(network, confidence=value)
    with pytest.raises(CallError, match="between"):
        _detector(network)(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), confidence=value)


def test_wrong_frames_are_a_wrong_call() -> None:
    detector = _detector(_Scripted(torch.zeros(5, 4), torch.zeros(5, 1)))
    with pytest.raises(CallError, match="one size"):
        detector([torch.zeros(3, 64, 64, dtype=torch.uint8), torch.zeros(3, 64, 32, dtype=torch.uint8)])
    for shape in ((1, 1, 64, 64), (64, 64, 3), (1, 3, 0, 64)):
        with pytest.raises(CallError, match="RGB frames"):
            detector(torch.zeros(shape, dtype=torch.uint8))
    with pytest.raises(CallError, match="at least 32"):
        _detector(_Scripted(torch.zeros(5, 4), torch.zeros(5, 1)), input_size=8)


def _picture(name: str) -> Tensor:
    import importlib.util

    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        pytest.skip("ultralytics is not installed")
    picture = cv2.imread(str(Path(spec.origin).parent / "assets" / name))
    return torch.from_numpy(np.ascontiguousarray(picture[:, :, ::-1])).permute(2, 0, 1)[None]


def _iou(a: Tensor, b: Tensor) -> Tensor:
    overlap = (torch.minimum(a[:, None, 2:], b[:, 2:]) - torch.maximum(a[:, None, :2], b[:, :2])).clamp(min=0).prod(-1)
    area = [(box[:, 2:] - box[:, :2]).prod(-1) for box in (a, b)]
    return overlap / (area[0][:, None] + area[1] - overlap)


# The four people of bus.jpg: three in front of the bus, one cut off at the left edge.
BUS_PEOPLE = torch.tensor([[50, 399, 245, 903], [223, 407, 344, 858], [669, 393, 809, 878], [0, 551, 63, 873.0]])
BUS = torch.tensor([[23, 231, 805, 757.0]])


def test_the_bundled_detector_finds_the_people_at_the_bus() -> None:
    detector = Detector.load(None)
    persons = detector(_picture("bus.jpg"))[0]
    assert len(persons.boxes) >= 3, persons
    overlap = _iou(BUS_PEOPLE, persons.boxes)
    found = overlap.amax(1) >= 0.5
    assert int(found.sum()) >= 3, persons
    assert bool(found[:3].all()), persons
    # Nobody is invented: at most one box beside the four people, and the bus is no person.
    assert len(persons.boxes) <= 5, persons
    assert float(_iou(BUS, persons.boxes).max()) < 0.5


def test_the_bundled_detector_finds_the_two_people_indoors() -> None:
    persons = Detector.load(None)(_picture("zidane.jpg"))[0]
    # The man on the right, and the one on the left without his outstretched arm.
    wanted = torch.tensor([[747, 41, 1147, 711], [150, 203, 680, 713.0]])
    assert len(persons.boxes) >= 2, persons
    assert bool((_iou(wanted, persons.boxes).amax(1) >= 0.5).all()), persons


def test_a_batch_gives_what_single_frames_give() -> None:
    detector = Detector.load(None)
    picture = _picture("bus.jpg")
    frames = [picture[0], picture[0].flip(2)]
    both = detector(frames)
    for frame, together in zip(frames, both, strict=True):
        alone = detector([frame])[0]
        torch.testing.assert_close(alone.boxes, together.boxes, atol=0.1, rtol=1e-3)
        torch.testing.assert_close(alone.scores, together.scores, atol=1e-3, rtol=1e-3)
