"""Streams, in whose order work on a device is done, and events, which mark points in them.

As in PyTorch, a node runs its backward in the stream in which its operation was recorded, after what the stream of the
walk has done so far, and before what that does next. While no stream is chosen nothing is noted for it.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .. import backends, devices
from ..graph.node import Node, watchers


class Stream:
    """A queue of work on a device; work in different streams may overlap. Use it by `with stream(s):`."""

    def __init__(self, device: Any = None, priority: int = 0, *, _made: Any = None) -> None:
        xp = backends.cuda()
        with xp.using(devices.device("cuda" if device is None else device)):
            self._stream = xp.cuda.Stream(non_blocking=True, priority=priority) if _made is None else _made
            self.device = devices.device("cuda", xp.current_device())

    @property
    def cuda_stream(self) -> int:
        """The address of the stream, for other libraries."""
        return self._stream.ptr

    def synchronize(self) -> None:
        """Wait until all work in the stream is done."""
        self._stream.synchronize()

    def query(self) -> bool:
        """Whether all work in the stream is done."""
        return self._stream.done

    def wait_event(self, event: Event) -> None:
        """Do what follows in this stream after the event."""
        self._stream.wait_event(event._event)

    def wait_stream(self, stream: Stream) -> None:
        """Do what follows in this stream after what is in the other one now."""
        self.wait_event(stream.record_event())

    def record_event(self, event: Event | None = None) -> Event:
        """Mark this point of the stream; returns the event."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.device, self.cuda_stream) == (other.device, other.cuda_stream)

    def __hash__(self) -> int:
        return hash((self.device, self.cuda_stream))

    def __repr__(self) -> str:
        return f"<gradcu.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class Event:
    """A point in a stream, to wait for or, with `enable_timing=True`, to measure time between."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._event = backends.cuda().cuda.Event(
            block=blocking, disable_timing=not enable_timing, interprocess=interprocess
        )

    def record(self, stream: Stream | None = None) -> None:
        """Be the point that the stream, the current one unless given, has come to."""
        self._event.record(None if stream is None else stream._stream)

    def wait(self, stream: Stream | None = None) -> None:
        """Let the stream, the current one unless given, wait for this point."""
        (current_stream() if stream is None else stream).wait_event(self)

    def query(self) -> bool:
        """Whether the work before this point is done."""
        return self._event.done

    def synchronize(self) -> None:
        """Wait until the work before this point is done."""
        self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """The milliseconds from this point to another; both need `enable_timing=True`."""
        return backends.cuda().cuda.get_elapsed_time(self._event, end_event._event)


def current_stream(device: Any = None) -> Stream:
    """The stream in which work is done now."""
    return Stream(device, _made=backends.cuda().cuda.get_current_stream())


def default_stream(device: Any = None) -> Stream:
    """The stream in which work is done where no other was chosen."""
    return Stream(device, _made=backends.cuda().cuda.Stream.null)


@contextlib.contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """A block whose work is done in the given stream; None changes nothing."""
    if stream is None:
        yield
        return
    _chosen.streams.append(stream)
    watchers.append(_remember)
    try:
        with stream._stream:
            yield
    finally:
        watchers.remove(_remember)
        _chosen.streams.pop()


class _Chosen(threading.local):
    def __init__(self) -> None:
        self.streams: list[Stream] = []  # those of the blocks that this thread is in


_chosen = _Chosen()


def _remember(node: Node) -> None:
    """Have a new node of this thread run its backward in the stream of the block."""
    if _chosen.streams:
        node.own_hooks().runs = functools.partial(_InStream, _chosen.streams[-1])


class _InStream:
    """Runs a node, or a part of one, in a stream."""

    def __init__(self, stream: Stream, runner: Any) -> None:
        self._stream, self._runner = stream, runner

    def __getattr__(self, way: str) -> Callable:
        def run(node: Node, g: Any, xp: Any) -> Any:
            function, walking = getattr(self._runner, way), current_stream()
            if walking == self._stream:
                return function(node, g, xp)
            self._stream.wait_stream(walking)
            with self._stream._stream:
                results = function(node, g, xp)
            walking.wait_stream(self._stream)
            return results

        return run
