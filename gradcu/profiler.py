"""`gradcu.profiler`: the profiler of `gradcu.autograd.profiler`, and a schedule for it to follow in a training loop."""

from __future__ import annotations

import enum
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from .autograd.profiler import EventList, profile as _Once, record_function

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(enum.Enum):
    """What to time: the calls, or the kernels as well."""

    CPU = 0
    CUDA = 2


class ProfilerAction(enum.Enum):
    """What a profile does in one step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """All there are."""
    return set(ProfilerActivity)


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0
) -> Callable[[int], ProfilerAction]:
    """What to do in each step: skip `skip_first`, then in turn wait, warm up and record, `repeat` times or for ever.

    >>> profile(schedule=schedule(wait=1, warmup=1, active=3))
    """
    if min(wait, warmup, active - 1, repeat, skip_first) < 0:
        raise ValueError("Invalid profiler schedule arguments: all must be at least 0, and active at least 1")

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise ValueError(f"Step must be non-negative. Got {step}.")
        turn, at = divmod(step - skip_first, wait + warmup + active)
        if turn < 0 or (repeat and turn >= repeat) or at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if at < wait + warmup + active - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None) -> Callable[[profile], None]:
    """For `on_trace_ready`: write each trace to a file of its own in a directory, which is made if there is none."""

    def handler(prof: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        prof.export_chrome_trace(os.path.join(dir_name, f"{worker}.{time.time_ns()}.pt.trace.json"))

    return handler


_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


class profile:
    """A block whose operations and backward nodes are timed; with a `schedule`, those of some steps.

    activities: with `ProfilerActivity.CUDA` the device is waited for after each operation, whose time is that of its
    kernels then. on_trace_ready: called with the profile when a recording has ended. For the rest see
    `gradcu.autograd.profiler.profile`.

    >>> with profile(schedule=schedule(wait=1, warmup=1, active=2), on_trace_ready=show) as prof:
    ...     for batch in loader:
    ...         train(batch)
    ...         prof.step()
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
    ) -> None:
        self._options: dict[str, Any] = {
            "record_shapes": record_shapes,
            "profile_memory": profile_memory,
            "with_stack": with_stack,
            "use_device": "cuda" if ProfilerActivity.CUDA in (activities or ()) else None,
        }
        self.schedule, self.on_trace_ready = schedule, on_trace_ready
        self.step_num = 0
        self.profiler: _Once | None = None  # the recording under way, or the last one
        self._recording = False
        self._step: record_function | None = None

    @property
    def current_action(self) -> ProfilerAction:
        """What is done in this step."""
        return ProfilerAction.RECORD if self.schedule is None else self.schedule(self.step_num)

    def start(self) -> None:
        """Begin the first step."""
        if self.current_action not in _RECORDING:
            return
        if not self._recording:
            self.profiler = _Once(**self._options)
            self.profiler.__enter__()
            self._recording = True
        if self.schedule is not None:
            self._step = record_function(f"ProfilerStep#{self.step_num}")
            self._step.__enter__()

    def stop(self) -> None:
        """End the last step, and the recording."""
        self._end_step()
        if self._recording and self.profiler is not None:
            self.profiler.__exit__()
            self._recording = False
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)

    def step(self) -> None:
        """End a step and begin the next."""
        self._end_step()
        saves = self.current_action is ProfilerAction.RECORD_AND_SAVE
        self.step_num += 1
        if saves or self.current_action not in _RECORDING:
            self.stop()
        self.start()

    def _end_step(self) -> None:
        if self._step is not None:
            self._step.__exit__()
            self._step = None

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _finished(self) -> _Once:
        assert self.profiler is not None, "Profiler must be initialized before getting profiling information"
        return self.profiler

    def events(self) -> EventList:
        """The events of the last recording, in the order in which they began."""
        return self._finished().function_events

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """The sums of the last recording's events by name; see `EventList.key_averages`."""
        return self._finished().key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path: str | os.PathLike) -> None:
        """Write the last recording as a file for ui.perfetto.dev or chrome://tracing."""
        self._finished().export_chrome_trace(path)
