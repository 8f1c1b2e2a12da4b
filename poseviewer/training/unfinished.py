"""What a training that is not over was begun with, so that it goes on as it was begun or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from poseviewer.core.errors import CallError
from poseviewer.core.files import write_bytes
from poseviewer.training.datasets import Annotation

MARK = "training.json"
WORDS = {
    "weights": "starting weights",
    "corrected": "people",
    "remembered": "people",
    "people": "people",
    "shares": "shares",
    "batch": "batch",
    "proposals": "proposals",
    "objective": "objective",
    "keep": "weight of the old answers",
    "seed": "seed",
}
"""Everything that decides which crops are drawn and what is learnt of them; with another one it is another training.
Budget, rate, precision and device may change: a training is prolonged so, or goes on more gently."""


def settle_mark(file: Path, mark: Mapping[str, Any], before: Mapping[str, Any], *, begun: bool) -> None:
    """Note what a training is, or refuse to go on with another one.

    Args:
        file: where it is noted; one that an older version wrote lacks entries.
        mark: the present training, by the names of `WORDS`.
        before: what trainings were before their file said so; of what is not in it either, an older file is believed.
        begun: whether there is something to go on with.

    Raises:
        CallError: the training that was begun is another one, or the file is damaged.
    """
    if not (begun and file.exists()):
        write_bytes(file, msgspec.json.format(msgspec.json.encode(mark)))
        return
    try:
        known = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise CallError(
            f"{file} cannot be read, so it is not known which training it belongs to.",
            file=file,
            remedy="Choose another folder, or remove it.",
        ) from error
    known = {**mark, **before, **known}
    differing = {WORDS[name]: None for name, value in mark.items() if _plain(known[name]) != _plain(value)}
    if differing:
        raise CallError(
            f"{file.parent} holds a training that is not over, begun with other {' and '.join(differing)}.",
            file=file.parent,
            remedy="Choose another folder, or remove it.",
        )


def digest_of(*groups: Sequence[Annotation]) -> str:
    """The people of a training in a few letters: other joints, boxes or pictures give others."""
    digest = hashlib.sha256()
    for people in groups:
        digest.update(f"{len(people)} people".encode())
        for person in people:
            numbers = np.concatenate((person.joints.ravel(), person.box), dtype=np.float64)
            digest.update(person.image.name.encode() + numbers.tobytes())
    return digest.hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Shares as parts of 1 and without the names of their data, which may be spelt otherwise."""
    if not isinstance(value, list | tuple):
        return value
    total = sum(share for _, share in value) or 1.0
    return [share / total for _, share in value]
