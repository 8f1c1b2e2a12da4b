"""A small event that holds its listeners weakly."""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
log = logging.getLogger("poseviewer.events")


class Event(Generic[T]):
    """Calls every live listener with one value, in the order of subscription.

    Bound methods are held weakly, so a closed view needs no goodbye; plain functions are held strongly.
    A listener that raises is logged and does not keep the others from hearing.
    """

    def __init__(self) -> None:
        self._listeners: list[weakref.WeakMethod[Any] | Callable[[], Callable[[T], None]]] = []

    def connect(self, listener: Callable[[T], None]) -> Callable[[T], None]:
        """Add ``listener`` and return it (so that it also serves as a decorator)."""
        if inspect.ismethod(listener):
            self._listeners.append(weakref.WeakMethod(listener))
        else:
            self._listeners.append(lambda: listener)
        return listener

    def disconnect(self, listener: Callable[[T], None]) -> None:
        """Remove ``listener``; nothing happens if it is not there."""
        self._listeners = [held for held in self._listeners if held() not in (None, listener)]

    def emit(self, value: T) -> None:
        """Call the listeners with ``value``."""
        for held in list(self._listeners):
            listener = held()
            if listener is None:
                self._listeners.remove(held)
                continue
            try:
                listener(value)
            except Exception:
                log.exception("a listener raised on %r", value)
