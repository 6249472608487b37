"""Streams, in whose order work on a device is done, and events, which mark points in them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .. import backends, devices


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
    else:
        with stream._stream:
            yield
