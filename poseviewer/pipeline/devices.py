"""Which device, which precision, and what an out-of-memory error looks like."""

from __future__ import annotations

import torch

from poseviewer.core.errors import DeviceError
from poseviewer.pipeline.config import PrecisionName

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called ``name``: "auto" is the first CUDA device where there is one, else the CPU.

    Raises:
        DeviceError: if it is not there, or the name is unknown.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is not the name of a device.", remedy="Use auto, cpu or cuda.") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            found = f"only {count} are there" if count else "PyTorch finds none on this machine"
            raise DeviceError(f"The CUDA device {name} cannot be used: {found}.", remedy="Choose auto or cpu.")
        return torch.device("cuda", device.index or 0)
    if device.type != "cpu":
        raise DeviceError(f"The device {name} is not supported.", remedy="Use auto, cpu or cuda.")
    return device


def device_name(device: torch.device) -> str:
    """Return "cpu" or "cuda:0"."""
    return str(device)


def pick_precision(name: PrecisionName, device: torch.device) -> PrecisionName:
    """Return float32, bf16 or fp16 for the estimator.

    "auto" is float32 on a CPU, so that results do not depend on its model, and bf16 on an accelerator that has it.
    """
    if name != "auto":
        return name
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return "bf16"
    return "float32"


def autocast(device: torch.device, precision: PrecisionName) -> torch.autocast:
    """Return the context in which the estimator runs."""
    return torch.autocast(device.type, dtype=DTYPES.get(precision, torch.bfloat16), enabled=precision in DTYPES)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether ``error`` says that the device's memory is used up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # Some CUDA libraries, and the CPU allocator, say it in an ordinary RuntimeError.
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "CUBLAS_STATUS_ALLOC_FAILED" in text or "can't allocate memory" in text
    )


def release_memory(device: torch.device) -> None:
    """Give cached blocks back before trying again with less."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def out_of_memory(device: torch.device, what: str) -> DeviceError:
    """Return the error to raise when the memory of ``device`` does not suffice for ``what``."""
    return DeviceError(
        f"The memory of {device} does not suffice {what}.",
        remedy="Close other programs that use it, or choose the device cpu.",
    )


class BatchSize:
    """How many go through a network at once: halved when the memory does not suffice.

    Args:
        most: to begin with.
        one, many: words for what is counted, for the message.
    """

    def __init__(self, most: int, one: str, many: str) -> None:
        self.value = most
        self._one, self._many = one, many

    def __str__(self) -> str:
        return f"{self.value} {self._many} at once" if self.value > 1 else f"one {self._one} at a time"

    def halve(self) -> bool:
        """Halve it; return False if it is one already."""
        if self.value <= 1:
            return False
        self.value = max(1, self.value // 2)
        return True
