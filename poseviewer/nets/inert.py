"""Plain data in place of the classes that published weight files carry beside their tensors.

MMEngine's checkpoints hold numpy arrays, running statistics and configuration classes; published training states hold
paths and argument lists. None of these classes is loaded: each name on the list is read as one of the inert values
below, which hold what was written and do nothing. A name that is not on the list is refused by
:func:`poseviewer.nets.unpickle.read_torch`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

LARGEST_ARRAY = 1 << 24
"""Most bytes of an array of metadata that are kept."""
MOST_VALUES = 100_000
"""Most values of metadata that are kept."""
KINDS = "biufSU"
"""Kinds of numpy numbers and texts that can be read without running anything."""


class InertType:
    """A numpy number type as the file names it, such as "f4"."""

    def __init__(self, code: object = "", *_rest: object) -> None:
        self.code = code if isinstance(code, str) else ""
        self.order = "="

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    def dtype(self) -> np.dtype[Any] | None:
        """The numpy type, or None for one that could hold objects."""
        if self.code[:1] not in tuple(KINDS) or not self.code[1:].isdigit():
            return None
        return np.dtype(self.order.replace("|", "=") + self.code)


class InertArray:
    """A numpy array's bytes; :meth:`array` makes numbers of them."""

    def __init__(self, *_args: object) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: object) -> None:
        self._state = state if isinstance(state, tuple) else ()

    def array(self) -> npt.NDArray[Any] | None:
        """The array, or None where the file's description of it does not hold together."""
        if len(self._state) != 5:
            return None
        _, shape, kind, fortran, data = self._state
        if isinstance(data, str):  # a pickle of protocol 2 written by Python 2
            data = data.encode("latin1", errors="replace")
        dtype = kind.dtype() if isinstance(kind, InertType) else None
        if dtype is None or not isinstance(data, bytes) or len(data) > LARGEST_ARRAY:
            return None
        try:
            return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
        except (ValueError, TypeError):
            return None


class InertRecord:
    """An object of which only the attributes that were written are kept."""

    def __init__(self, *_args: object) -> None:
        self.fields: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.fields = {str(key): value for key, value in state.items()} if isinstance(state, dict) else {}


def _array(*_args: object) -> InertArray:
    return InertArray()


def _number(kind: object = None, data: object = b"") -> Any:
    """A numpy scalar."""
    holder = InertArray()
    holder.__setstate__((1, (), kind, False, data))
    array = holder.array()
    return None if array is None else array.item()


def _nothing(*_args: object) -> None:
    """What stands for functions and methods: they are dropped."""


def _path(*parts: object) -> str:
    return "/".join(str(part) for part in parts if isinstance(part, str))


def _mapping(*args: object) -> OrderedDict[Any, Any]:
    given = args[-1] if args else None
    return OrderedDict(given) if isinstance(given, Mapping) else OrderedDict()


_ARRAY = {
    f"{room}.multiarray.{name}": made
    for room in ("numpy.core", "numpy._core")
    for name, made in (("_reconstruct", _array), ("scalar", _number))
}
_NUMBERS = ("UInt8", "Int8", "Int16", "Int32", "Int64", "Float16", "Float32", "Float64", "Bool")
STAND_INS: dict[str, Any] = {
    **_ARRAY,
    "numpy.ndarray": InertArray,
    "numpy.dtype": InertType,
    **{f"numpy.dtypes.{name}DType": InertType for name in _NUMBERS},
    "mmengine.logging.history_buffer.HistoryBuffer": InertRecord,
    "mmengine.config.config.ConfigDict": OrderedDict,
    "mmcv.utils.config.ConfigDict": OrderedDict,
    "argparse.Namespace": InertRecord,
    "types.SimpleNamespace": InertRecord,
    "pathlib.PosixPath": _path,
    "pathlib.WindowsPath": _path,
    "pathlib.PurePosixPath": _path,
    "collections.defaultdict": _mapping,
    "builtins.getattr": _nothing,
    "builtins.int": _nothing,
    "builtins.list": _nothing,
    "builtins.dict": _mapping,
}


def stand_ins() -> dict[str, Callable[[], Any]]:
    """The names that a weight file may use beyond tensors and plain containers, for ``read_torch``."""
    return {name: partial(STAND_INS.__getitem__, name) for name in STAND_INS}


def plain(value: object, depth: int = 12) -> Any:
    """What was read as plain data: dicts, lists, numbers, texts; arrays as lists; anything else as None.

    A file may name the same list over and over, so that a few bytes stand for more values than any memory holds:
    nothing deeper than ``depth`` and nothing beyond `MOST_VALUES` values is taken.
    """
    return _Plain().of(value, depth)


class _Plain:
    """Counts what was taken."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def of(self, value: object, depth: int) -> Any:
        self._left -= 1
        if depth < 0 or self._left < 0:
            return None
        if isinstance(value, InertArray):
            array = value.array()
            return None if array is None or array.size > self._left else array.tolist()
        if isinstance(value, InertRecord):
            value = value.fields
        if isinstance(value, Mapping):
            return {str(key): self.of(item, depth - 1) for key, item in self._some(value.items())}
        if isinstance(value, list | tuple | set):
            return [self.of(item, depth - 1) for item in self._some(value)]
        return value if isinstance(value, str | int | float | bool) else None

    def _some(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            if self._left < 0:
                return
            yield item
