"""A few values that were costly to make, the least recently used of which goes first."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Values by key, `capacity` of them at most, or of their sizes together; several threads may use it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False

    def get(self, key: Hashable) -> Value | None:
        """Return a value that is remembered, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: Value, size: int = 1) -> Value:
        """Remember a value, and return it."""
        with self._lock:
            if self._closed:
                return value
            self._values[key] = value, size
            self._values.move_to_end(key)
            while sum(each for _, each in self._values.values()) > self._capacity:
                self._values.popitem(last=False)
        return value

    def close(self) -> None:
        """Forget everything, and remember nothing more."""
        with self._lock:
            self._closed = True
            self._values.clear()
