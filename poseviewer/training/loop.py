"""The loop that every training shares: a learner that takes steps, and hooks that look at it between two of them.

    learner = Learner(net, objective, config)
    for event in run(learner, batches, [Report(5.0), Save(120.0, file)]):
        ...

A step is always the same: batch to the device, objective, gradient, clipping, optimiser, average. What is learnt is the
objective's business (`training.objectives`), what is told or kept is a hook's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.core.errors import CallError, KnownError
from poseviewer.core.files import atomic_write
from poseviewer.nets.unpickle import read_torch
from poseviewer.pipeline.config import PrecisionName
from poseviewer.pipeline.devices import autocast, is_out_of_memory, out_of_memory, pick_device, pick_precision
from poseviewer.training import ranks
from poseviewer.training.ema import Average
from poseviewer.training.schedule import cosine_rate, step_rate

Forward = Callable[[Tensor], Any]


class Moved(Protocol):
    """A batch that can go to a device."""

    def to(self, device: torch.device) -> Any:
        """The same batch there."""
        ...

    def __len__(self) -> int: ...


B = TypeVar("B", bound=Moved)
Objective = Callable[[Forward, B], Tensor]
"""From the network's forward pass and a batch to a scalar loss; see `training.objectives`."""


class LoopConfig(msgspec.Struct, frozen=True):
    """How a network is trained, whatever it learns.

    Attributes:
        seconds: wall-clock budget counted over all starts; 0 is none.
        steps: budget in steps; 0 is none. With both, the earlier end counts. A budget in steps alone makes a resumed
            training repeat the uninterrupted one.
        rate: highest learning rate; warm_up: steps in which it rises.
        schedule: "cosine" over the budget, or "step": a tenth from each of the parts `drops` of the budget on.
        decay: AdamW's weight decay, of kernels and matrices only.
        clip: largest norm of the gradient; 0 is no clipping.
        average: decay of the running average, which is what gets used.
        precision: "auto" is bf16 on a device that multiplies matrices in it, else float32; fp16 scales the loss, so
            that small gradients do not vanish, and leaves out the steps in which they overflow.
        device: "auto", "cpu", "cuda" or "cuda:N".
        frozen_norms: batch normalisation keeps its statistics: right for few pictures of one kind.
        seed: of weights and draws.
    """

    seconds: float = 0.0
    steps: int = 0
    rate: float = 1e-3
    warm_up: int = 100
    schedule: Literal["cosine", "step"] = "cosine"
    drops: tuple[float, ...] = (0.65, 0.9)
    decay: float = 0.02
    clip: float = 1.0
    average: float = 0.999
    precision: PrecisionName = "auto"
    device: str = "cpu"
    frozen_norms: bool = False
    seed: int = 0


def check_loop(config: LoopConfig) -> None:
    """Refuse what cannot train; raises CallError."""
    if not (config.seconds > 0 or config.steps > 0):
        raise CallError("A training needs an end.", remedy="Give it minutes or steps.")
    if config.rate <= 0:
        raise CallError(f"The learning rate must be positive, not {config.rate:g}.")


class Learner(Generic[B]):
    """State of one training: network, average, optimiser and counters.

    Args:
        net: what learns; moved to the device.
        objective: what it learns.
        config: how.

    Attributes:
        step, seen: steps taken and batch entries seen, on all processes together.
        elapsed: seconds over all starts.
        best: best validation figure so far, for hooks that keep the best weights; a resumed training knows it.
        mark: what is trained, in any words that tell it from other trainings; "" is not compared.
    """

    def __init__(self, net: nn.Module, objective: Objective[B], config: LoopConfig) -> None:
        check_loop(config)
        self.config = config
        self.objective = objective
        self.device = pick_device(config.device)
        self.precision = _precision(config.precision, self.device)
        net = net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if ranks.world() > 1 and self.device.type == "cuda" and not config.frozen_norms:
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
        self.net = net.requires_grad_(True)
        self.average = Average(self.net, config.average)
        self.optimiser = torch.optim.AdamW(weight_groups(self.net, config.decay), lr=config.rate, fused=True)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self._shared = ranks.shared(self.net, self.device)
        self.step = self.seen = 0
        self.elapsed = 0.0
        self.best = -1.0
        self.mark = ""
        self._stopped = False
        self._paused = 0.0
        self._losses = torch.zeros((), device=self.device)
        self._counted = 0

    @property
    def progress(self) -> float:
        """Part of the budget that is used, 0..1."""
        parts = [1.0 if self._stopped else 0.0]
        if self.config.seconds > 0:
            parts.append(self.elapsed / self.config.seconds)
        if self.config.steps > 0:
            parts.append(self.step / self.config.steps)
        return min(max(parts), 1.0)

    def stop(self) -> None:
        """Let the training end after the present step."""
        self._stopped = True

    def pause(self, seconds: float) -> None:
        """Take time out of the budget, as for measuring."""
        self._paused += seconds

    def count_time(self, seconds: float) -> None:
        """Count the seconds since this start began, without the pauses; all processes take the first one's."""
        self.elapsed = ranks.agreed(seconds - self._paused, self.device)

    def rate(self) -> float:
        """The learning rate of the next step."""
        config = self.config
        if config.schedule == "step":
            return step_rate(config.rate, self.progress, self.step, config.warm_up, config.drops)
        return cosine_rate(config.rate, self.progress, self.step, config.warm_up)

    def forward(self, x: Tensor) -> Any:
        """The network's answer in the training's precision."""
        with autocast(self.device, self.precision):
            return self._shared(x)

    def in_precision(self, net: nn.Module) -> Forward:
        """The forward pass of another network in the training's precision, a frozen teacher's say."""

        def forward(x: Tensor) -> Any:
            with autocast(self.device, self.precision):
                return net(x)

        return forward

    def learn(self, batch: B) -> Tensor:
        """One optimiser step; returns the loss, on the device.

        Raises:
            DeviceError: the memory does not suffice for the batch.
        """
        self._shared.train()
        if self.config.frozen_norms:
            freeze_norms(self._shared)
        try:
            loss = self._descend(batch)
        except Exception as error:
            if is_out_of_memory(error):
                raise out_of_memory(self.device, f"for a batch of {len(batch)}") from error
            raise
        self.average.update(self.net)
        self.step += 1
        self.seen += len(batch) * ranks.world()
        self._losses += loss
        self._counted += 1
        return loss

    def _descend(self, batch: B) -> Tensor:
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        loss = self.objective(self.forward, batch.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.config.clip > 0:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return loss.detach()

    def take_loss(self) -> float:
        """The mean loss since the last call; waits for the device.

        Raises:
            KnownError: it is not a number any more.
        """
        mean = float(ranks.mean_of_losses(self._losses)) / max(self._counted, 1)
        self._losses, self._counted = torch.zeros((), device=self.device), 0
        if mean != mean or mean in (float("inf"), float("-inf")):
            raise KnownError(
                f"The loss stopped being a number before step {self.step}.", remedy="Train with a lower learning rate."
            )
        return mean

    def state(self) -> dict[str, Any]:
        """Everything that it takes to go on."""
        return {
            "net": self.net.state_dict(),
            "average": self.average.module.state_dict(),
            "updates": self.average.updates,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "seen": self.seen,
            "elapsed": self.elapsed,
            "best": self.best,
            "mark": self.mark,
        }

    def is_sound(self) -> bool:
        """Whether all weights are numbers; waits for the device."""
        return all(bool(torch.isfinite(value).all()) for value in self.net.parameters())

    def save(self, file: Path) -> None:
        """Write the checkpoint; a crash leaves the last one whole. Only the first process writes.

        Weights that are no numbers any more are not written: nobody could go on from them.

        Raises:
            KnownError: it cannot be written.
        """
        if ranks.rank() or not self.is_sound():
            return
        try:
            with atomic_write(file) as stream:
                torch.save(self.state(), stream)
        except (OSError, RuntimeError) as error:
            # A full disk is an OSError, or a RuntimeError of torch's own writer.
            why = getattr(error, "strerror", None) or "the disk may be full"
            raise KnownError(f"The checkpoint {file} cannot be written: {why}.", file=file) from error

    def restore(self, file: Path) -> bool:
        """Go on from a checkpoint, if there is one; returns whether there was.

        Raises:
            WeightsError: it is damaged.
            CallError: it is of another network, or its mark is another one.
        """
        if not file.exists():
            return False
        saved = read_torch(file, kind="a training checkpoint")
        try:
            if self.mark != saved.get("mark", self.mark):
                raise ValueError("another mark")
            self.net.load_state_dict(saved["net"])
            self.average.module.load_state_dict(saved["average"])
            self.average.updates = saved["updates"]
            self.optimiser.load_state_dict(saved["optimiser"])
            if saved["scaler"]:
                # Without one the training was in another precision: then the scale begins anew.
                self.scaler.load_state_dict(saved["scaler"])
            self.step, self.seen, self.elapsed = saved["step"], saved["seen"], saved["elapsed"]
            self.best = saved.get("best", self.best)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CallError(
                f"{file} belongs to another training.", file=file, remedy="Choose another folder, or remove it."
            ) from error
        return True


Told = TypeVar("Told")
Hook = Callable[[Learner[Any]], Iterable[Told]]
"""Looks at the learner after a step and may tell events; it is also called when the training is over."""


def run(
    learner: Learner[B], batches: Callable[[int], Generator[B, None, None]], hooks: Sequence[Hook[Told]]
) -> Iterator[Told]:
    """Train until the budget is used; what the hooks tell is passed on.

    Args:
        learner: trained in place.
        batches: makes a generator of batches from a number on (see `batches.ahead`); number n is step n's.
        hooks: called after every step, in order.
    """
    began, before = time.monotonic(), learner.elapsed
    with contextlib.closing(batches(learner.step)) as stream:
        while learner.progress < 1.0:
            learner.learn(next(stream))
            learner.count_time(before + time.monotonic() - began)
            for hook in hooks:
                yield from hook(learner)


class Every:
    """Says when something is due every so many seconds, and at the end."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last: float | None = None

    def due(self, learner: Learner[Any]) -> bool:
        """Whether the interval has passed or the training is over; starts the next interval."""
        if self._last is None:
            self._last = learner.elapsed
        if learner.elapsed - self._last < self.seconds and learner.progress < 1.0:
            return False
        self._last = learner.elapsed
        return True


class Save:
    """Hook: writes a checkpoint every so many seconds and at the end."""

    def __init__(self, seconds: float, file: Path) -> None:
        self._every = Every(seconds)
        self._file = file

    def __call__(self, learner: Learner[Any]) -> Iterable[Any]:
        if self._every.due(learner):
            learner.save(self._file)
        return ()


class StopFile:
    """Hook: ends the training when a file appears, so that another process can ask for it; the file is removed."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, learner: Learner[Any]) -> Iterable[Any]:
        if ranks.agreed(float(self._file.exists()), learner.device):
            learner.stop()
            ranks.wait_for_all()
            self._file.unlink(missing_ok=True)
        return ()


class PauseFile:
    """Hook: waits between two steps while a file is there, so that another process can ask for the processor.

    Args:
        file: pauses; it goes when the training is asked to end.
        stop: a file that ends the pause, because it ends the training.
        tell: called about once a second meanwhile; what it tells shows that the training is alive, and notices when
            nobody listens any more.
    """

    LOOK_S, TELL_EVERY = 0.2, 5

    def __init__(self, file: Path, stop: Path, tell: Callable[[Learner[Any]], Iterable[Any]]) -> None:
        self._file = file
        self._stop = stop
        self._tell = tell

    def __call__(self, learner: Learner[Any]) -> Iterable[Any]:
        began, looks = time.monotonic(), 0
        while learner.progress < 1.0 and ranks.agreed(float(self._asked()), learner.device):
            if ranks.rank() == 0 and looks % self.TELL_EVERY == 0:
                yield from self._tell(learner)
            looks += 1
            time.sleep(self.LOOK_S)
        if looks:
            # Waiting costs the budget nothing.
            learner.pause(time.monotonic() - began)

    def _asked(self) -> bool:
        if self._file.exists() and self._stop.exists():
            self._file.unlink(missing_ok=True)
        return self._file.exists()


def checkpoint_of(out: Path) -> Path:
    """Where a training that writes one file keeps what it needs to go on: beside that file, until it is over."""
    return out.with_name(f"{out.stem}-checkpoint.pt")


def weight_groups(net: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only, not for batch normalisation and biases."""
    kernels = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def freeze_norms(net: nn.Module) -> None:
    """Let batch normalisation use and keep the statistics it has; its scale and shift still learn."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _precision(name: PrecisionName, device: torch.device) -> PrecisionName:
    """The precision of a training: what was asked for, else bf16 where the device multiplies matrices in it."""
    if name == "auto" and device.type == "cpu":
        tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
        return "bf16" if tiles else "float32"
    return pick_precision(name, device)
