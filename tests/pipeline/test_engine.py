"""The engine's two queues, with jobs that are plain generators and networks that read dots."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from dot_people import DotReader, draw_people, make_networks

from poseviewer.core.errors import DeviceError, KnownError, WeightsError
from poseviewer.core.progress import Note
from poseviewer.core.values import Evidence, FrameResult
from poseviewer.pipeline.config import NmsConfig, PipelineConfig
from poseviewer.pipeline.engine import Answer, Engine, EvidenceRequest, SuppressionRequest
from poseviewer.pipeline.evidence import EvidenceCache, EvidenceKey
from poseviewer.pipeline.run import run
from poseviewer.pipeline.topdown import suppress

WAIT_S = 20
CONFIG = PipelineConfig(nms=NmsConfig(score_floor=0.05))


class Served:
    """An engine on a thread of its own that writes down what it says, in order."""

    def __init__(self, networks=None) -> None:
        self.engine = Engine()
        self.networks = networks or make_networks()
        self.engine.networks = lambda config: self.networks
        self.heard: list[object] = []
        self._news = threading.Condition()
        self.engine.on_answer = self._hear
        self.engine.on_event = self._hear
        self.engine.on_job_end = lambda result: self._hear(("end", result))
        self.thread = threading.Thread(target=self.engine.serve, daemon=True)

    def _hear(self, thing) -> None:
        with self._news:
            self.heard.append(thing)
            self._news.notify_all()

    def wait_for(self, test) -> None:
        with self._news:
            assert self._news.wait_for(lambda: any(test(thing) for thing in self.heard), WAIT_S), self.heard

    @property
    def answers(self) -> list[Answer]:
        return [thing for thing in self.heard if isinstance(thing, Answer)]

    @property
    def ends(self) -> list[object]:
        return [thing[1] for thing in self.heard if isinstance(thing, tuple)]


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served()
    yield one
    one.engine.stop()
    if one.thread.ident is not None:
        one.thread.join(WAIT_S)
        assert not one.thread.is_alive()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return draw_people(np.random.default_rng(1), 2)[0]


def is_end(thing) -> bool:
    return isinstance(thing, tuple)


def ask(number: int, pixels, frame: int = 0, **more) -> EvidenceRequest:
    return EvidenceRequest(number, "dots.mp4", frame, pixels, CONFIG, **more)


def test_a_request_is_answered_between_two_steps_of_a_job(served: Served, pixels) -> None:
    def job():
        yield Note("one")
        served.engine.ask(ask(7, pixels))
        yield Note("two")
        yield Note("three")
        return 42

    served.engine.submit(job())
    served.thread.start()
    served.wait_for(is_end)
    kinds = [thing.text if isinstance(thing, Note) else type(thing).__name__ for thing in served.heard]
    assert kinds == ["one", "two", "Answer", "three", "tuple"]
    assert served.ends == [42]
    answer = served.answers[0]
    assert answer.id == 7
    assert answer.error is None
    assert len(answer.poses) == 2
    assert answer.result is not None
    assert len(answer.result.evidence.crops) == 2


def test_a_request_is_answered_between_two_batches_of_a_run(served: Served, dots, pixels) -> None:
    config = msgspec.structs.replace(CONFIG, batch_frames=2)

    def job():
        for result in run(dots, range(9), config, networks=served.engine.networks(config)):
            yield Note(f"frame {result.frame}")
            if result.frame == 3:
                served.engine.ask(ask(1, pixels))

    served.engine.submit(job())
    served.thread.start()
    served.wait_for(is_end)
    order = [thing.text if isinstance(thing, Note) else type(thing).__name__ for thing in served.heard]
    assert 3 < order.index("Answer") < 7
    assert len([name for name in order if name.startswith("frame")]) == 9


def test_the_newest_request_wins(served: Served, pixels) -> None:
    for number in (1, 2, 3):
        served.engine.ask(ask(number, pixels, frame=number))
    served.thread.start()
    served.wait_for(lambda thing: isinstance(thing, Answer))
    assert [answer.id for answer in served.answers] == [3]


def test_a_late_answer_is_dropped_but_kept_in_the_cache(pixels) -> None:
    class AskingReader(DotReader):
        def forward(self, x):
            if not self.calls:
                one.engine.ask(ask(2, pixels, frame=5))
            return super().forward(x)

    one = Served(make_networks(module=AskingReader()))
    one.engine.ask(ask(1, pixels, frame=4))
    one.thread.start()
    one.wait_for(lambda thing: isinstance(thing, Answer))
    assert [answer.id for answer in one.answers] == [2]
    computed = len(one.networks.estimator.module.calls)
    one.engine.ask(ask(3, pixels, frame=4))
    one.wait_for(lambda thing: isinstance(thing, Answer) and thing.id == 3)
    assert len(one.networks.estimator.module.calls) == computed
    one.engine.stop()
    one.thread.join(WAIT_S)


def test_a_hand_drawn_box_is_not_displaced_by_the_cursor(served: Served, pixels) -> None:
    box = np.array([[15.0, 15.0, 95.0, 145.0]])
    served.engine.ask(ask(1, pixels, boxes=box))
    served.engine.ask(ask(2, pixels))
    served.thread.start()
    served.wait_for(lambda thing: isinstance(thing, Answer) and thing.id == 2)
    assert [answer.id for answer in served.answers] == [1, 2]
    assert len(served.answers[0].poses) == 1
    assert len(served.engine.evidence) == 1  # a drawn box is no evidence of the frame


def test_drawn_boxes_are_never_suppressed(served: Served, pixels) -> None:
    boxes = np.array([[15.0, 15.0, 95.0, 145.0]] * 2)
    served.engine.ask(ask(1, pixels, boxes=boxes))
    served.thread.start()
    served.wait_for(lambda thing: isinstance(thing, Answer))
    assert len(served.answers[0].poses) == 2


def test_sliders_decide_again_without_a_network(served: Served, pixels) -> None:
    served.engine.ask(ask(1, pixels))
    served.thread.start()
    served.wait_for(lambda thing: isinstance(thing, Answer))
    candidates = served.answers[0].result.evidence.candidates
    computed = len(served.networks.estimator.module.calls)
    served.engine.ask(SuppressionRequest(2, candidates, NmsConfig(score_floor=0.99)))
    served.wait_for(lambda thing: isinstance(thing, Answer) and thing.id == 2)
    answer = served.answers[1]
    assert answer.poses == ()
    assert answer.result is None
    assert answer.suppression.outcome.tolist() == suppress(candidates, NmsConfig(score_floor=0.99))[0].outcome.tolist()
    assert len(served.networks.estimator.module.calls) == computed


def test_cancel_closes_the_job_and_what_is_finished_stays(served: Served) -> None:
    stored: list[int] = []
    closed = threading.Event()
    two = threading.Event()

    def job():
        try:
            for number in range(1000):
                stored.append(number)
                if number == 2:
                    served.engine.cancel()
                yield Note(str(number))
        finally:
            closed.set()

    def next_job():
        two.set()
        yield Note("next")

    served.engine.submit(job())
    served.engine.submit(next_job())
    served.thread.start()
    assert two.wait(WAIT_S)
    served.wait_for(lambda thing: isinstance(thing, Note) and thing.text == "next")
    assert closed.is_set()
    assert stored == [0, 1, 2]
    assert served.ends[0] is None


def test_cancelling_nothing_does_not_hit_the_next_job(served: Served) -> None:
    served.engine.cancel()

    def job():
        yield Note("only")
        return "done"

    served.engine.submit(job())
    served.thread.start()
    served.wait_for(is_end)
    assert served.ends == ["done"]


@pytest.mark.parametrize("error", [WeightsError("a.pt is no network."), ZeroDivisionError("bug")])
def test_a_failing_job_ends_and_the_engine_goes_on(served: Served, error: Exception) -> None:
    def bad():
        yield Note("started")
        raise error

    def good():
        yield Note("good")
        return "done"

    served.engine.submit(bad())
    served.engine.submit(good())
    served.thread.start()
    served.wait_for(lambda thing: thing == ("end", "done"))
    assert served.ends == [error, "done"]


def test_a_known_error_is_the_answer_and_a_bug_becomes_one_sentence(served: Served, pixels) -> None:
    def refuse(config):
        raise WeightsError("a.pt is no network.")

    served.engine.networks = refuse
    served.engine.ask(ask(1, pixels))
    served.thread.start()
    served.wait_for(lambda thing: isinstance(thing, Answer))
    assert isinstance(served.answers[0].error, WeightsError)

    def bug(config):
        raise ZeroDivisionError

    served.engine.networks = bug
    served.engine.ask(ask(2, pixels))
    served.wait_for(lambda thing: isinstance(thing, Answer) and thing.id == 2)
    assert isinstance(served.answers[1].error, KnownError)
    assert "\n" not in str(served.answers[1].error)


def test_a_listener_that_raises_does_not_end_the_engine(served: Served, pixels) -> None:
    answers = []

    def listener(answer: Answer) -> None:
        answers.append(answer)
        if len(answers) == 1:
            raise RuntimeError("a view is gone")
        served._hear(answer)

    served.engine.on_answer = listener
    served.engine.ask(ask(1, pixels))
    served.thread.start()
    while not answers:
        threading.Event().wait(0.01)
    served.engine.ask(ask(2, pixels, frame=3))
    served.wait_for(lambda thing: isinstance(thing, Answer) and thing.id == 2)


def test_stop_closes_the_running_job_and_drops_the_waiting(served: Served) -> None:
    closed = []

    def job(name):
        try:
            while True:
                yield Note(name)
        finally:
            closed.append(name)

    served.engine.submit(job("first"))
    served.engine.submit(job("second"))
    served.thread.start()
    served.wait_for(lambda thing: isinstance(thing, Note))
    assert served.engine.busy
    served.engine.stop()
    served.thread.join(WAIT_S)
    assert closed == ["first"]  # the second never began
    assert served.ends == [None, None]
    assert not served.engine.busy


def test_an_absent_device_is_one_sentence(pixels) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    engine = Engine("cuda")
    with pytest.raises(DeviceError, match="CUDA device cuda cannot be used"):
        engine.networks(PipelineConfig())
    with pytest.raises(DeviceError, match="not the name"):
        engine.networks(PipelineConfig(device="gpu please"))
    assert engine.device_name == "cuda"


def test_importing_the_engine_loads_no_torch() -> None:
    code = (
        "import sys, poseviewer.pipeline.engine, poseviewer.pipeline.config, poseviewer.pipeline.peaks;"
        "print([name for name in ('torch', 'ultralytics', 'scipy', 'PySide6', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- the cache ---


def evidence_of(size: int) -> FrameResult:
    """A result whose evidence takes about ``size`` bytes."""
    from poseviewer.core.values import Candidates, Suppression

    none = np.zeros(0, dtype=np.int64)
    report = Suppression(none, none, np.zeros(0, np.float32), none, none, none)
    keypoints = np.zeros((size // 8, 1, 2), dtype=np.float32)
    empty = np.zeros((0, 1), dtype=np.float32)
    return FrameResult(0, 0.0, (), evidence=Evidence((), Candidates(keypoints, empty, empty, empty[:, 0]), report))


def test_the_cache_forgets_what_was_not_used_longest() -> None:
    cache = EvidenceCache(1000)
    keys = [EvidenceKey("m", frame, "c", "w") for frame in range(4)]
    for key in keys[:3]:
        cache.put(key, evidence_of(320))
    assert cache.get(keys[0]) is not None
    cache.put(keys[3], evidence_of(320))
    assert cache.nbytes <= 1000
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]
    cache.put(keys[3], evidence_of(640))
    assert cache.nbytes <= 1000
    cache.put(keys[1], evidence_of(5000))
    assert cache.get(keys[1]) is None
    cache.clear()
    assert len(cache) == cache.nbytes == 0


def test_other_configuration_or_weights_are_other_evidence(served: Served, pixels) -> None:
    served.engine.ask(ask(1, pixels))
    served.thread.start()
    served.wait_for(lambda thing: isinstance(thing, Answer))
    other = EvidenceRequest(2, "dots.mp4", 0, pixels, msgspec.structs.replace(CONFIG, enlargement=0.5))
    served.engine.ask(other)
    served.wait_for(lambda thing: isinstance(thing, Answer) and thing.id == 2)
    assert len(served.engine.evidence) == 2
    assert served.networks.estimator.module.calls == [2, 2]
