"""`gradcu.autograd.profiler`: how long operations and backward nodes take, and how much memory they allocate.

It times the calls as Python sees them. For more there are tools made for it: py-spy and scalene (lines of Python, and
the C below them), Nsight Systems and `cupyx.profiler` (kernels on the device).
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .. import cuda
from ..backends.lookup import owner_of
from ..graph.anomaly import user_frame
from ..graph.modes import state
from ..graph.node import Node
from ..graph.op import Primitive
from ..ops.intercept import Interceptor, op_name
from ..tensor import Tensor

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "profile", "record_function"]


class Interval(NamedTuple):
    """When something ran, in microseconds."""

    start: float
    end: float


class _Figures:
    """What one event, and what several under one key, have."""

    key: str
    count: int
    cpu_time_total: float  # microseconds
    self_cpu_time_total: float  # without what ran inside
    cpu_memory_usage: int  # bytes allocated for results
    self_cpu_memory_usage: int
    input_shapes: list[list[int]]
    stack: list[str]

    @property
    def cpu_time(self) -> float:
        """The mean time of a call, in microseconds."""
        return self.cpu_time_total / self.count

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} key={self.key} self_cpu_time={_time(self.self_cpu_time_total)} "
            f"cpu_time={_time(self.cpu_time)} input_shapes={self.input_shapes} "
            f"cpu_memory_usage={self.cpu_memory_usage}>"
        )


class FunctionEvent(_Figures):
    """One call of an operation or of a node, or one `record_function` block."""

    count = 1

    def __init__(self, name: str, parent: FunctionEvent | None, is_user_annotation: bool) -> None:
        self.name = self.key = name
        self.is_user_annotation = is_user_annotation
        self.cpu_parent, self.cpu_children = parent, list[FunctionEvent]()
        self.thread = threading.get_native_id()
        self.time_range = Interval(0.0, 0.0)
        self.self_cpu_memory_usage = 0
        self.input_shapes, self.stack = [], []
        if parent is not None:
            parent.cpu_children.append(self)

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        """Its time, in microseconds."""
        return self.time_range.end - self.time_range.start

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        """Its time without that of what ran inside, in microseconds."""
        return self.cpu_time_total - sum(c.cpu_time_total for c in self.cpu_children)

    @property
    def cpu_memory_usage(self) -> int:  # type: ignore[override]
        """The bytes allocated for its results, and for those of what ran inside."""
        return self.self_cpu_memory_usage + sum(c.cpu_memory_usage for c in self.cpu_children)


class FunctionEventAvg(_Figures):
    """The sums over all events of one key."""

    def __init__(self, key: str, events: Sequence[FunctionEvent]) -> None:
        self.key, self.count = key, len(events)
        self.input_shapes, self.stack = events[0].input_shapes, events[0].stack
        self.cpu_time_total = sum(e.cpu_time_total for e in events)
        self.self_cpu_time_total = sum(e.self_cpu_time_total for e in events)
        self.cpu_memory_usage = sum(e.cpu_memory_usage for e in events)
        self.self_cpu_memory_usage = sum(e.self_cpu_memory_usage for e in events)


class EventList(list):
    """Events, or their sums by key, and ways to show them."""

    def __init__(self, events: Iterable[Any], memory: bool = False, shapes: bool = False, stack: int = 0) -> None:
        super().__init__(events)
        self._memory, self._shapes, self._stack = memory, shapes, stack

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all events, in microseconds."""
        return sum(e.self_cpu_time_total for e in self)

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """The sums of events by name, and if wanted by the inputs' shapes and by the innermost lines of the stack."""
        groups: dict[tuple, list[FunctionEvent]] = {}
        for e in self:
            shapes = str(e.input_shapes) if group_by_input_shape else ""
            groups.setdefault((e.key, shapes, *e.stack[:group_by_stack_n]), []).append(e)
        averages = [FunctionEventAvg(key[0], events) for key, events in groups.items()]
        return EventList(averages, self._memory, group_by_input_shape, group_by_stack_n)

    def total_average(self) -> FunctionEventAvg:
        """The sum of all events."""
        return FunctionEventAvg("Total", self)

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        max_src_column_width: int = 75,
        header: str | None = None,
    ) -> str:
        """The events as text.

        sort_by: "cpu_time", "cpu_time_total", "self_cpu_time_total", "cpu_memory_usage", "self_cpu_memory_usage" or
            "count", greatest first. row_limit: how many rows; -1 for all. Raises AttributeError for another `sort_by`.
        """
        if not self:
            return ""
        events = list(self)
        if sort_by is not None:
            events.sort(key=lambda e: getattr(e, sort_by), reverse=True)
        if row_limit >= 0:
            events = events[:row_limit]
        whole = self.self_cpu_time_total
        titles = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg"]
        titles += ["CPU Mem", "Self CPU Mem"] * self._memory + ["# of Calls"]
        titles += ["Input Shapes"] * self._shapes + ["Source Location"] * bool(self._stack)
        rows = []
        for e in events:
            row = [_cut(e.key, max_name_column_width)]
            for us in (e.self_cpu_time_total, e.cpu_time_total):
                row += [f"{us / whole if whole else 0:.2%}", _time(us)]
            row.append(_time(e.cpu_time))
            if self._memory:
                row += [_size(e.cpu_memory_usage), _size(e.self_cpu_memory_usage)]
            row.append(str(e.count))
            if self._shapes:
                row.append(_cut(str(e.input_shapes), max_shapes_column_width))
            if self._stack:
                row.append(_cut("; ".join(e.stack[: self._stack]), max_src_column_width))
            rows.append(row)
        widths = [max(12, *(len(row[i]) for row in (titles, *rows))) for i in range(len(titles))]
        rule = "  ".join("-" * w for w in widths)
        lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in (titles, *rows)]
        lines = [rule, lines[0], rule, *lines[1:], rule, f"Self CPU time total: {_time(whole)}", ""]
        return "\n".join(lines if header is None else ["=" * len(rule), header, *lines])

    def __str__(self) -> str:
        return self.table()

    def export_chrome_trace(self, path: str | os.PathLike) -> None:
        """Write the events as a file for ui.perfetto.dev or chrome://tracing."""
        traced = []
        for e in self:
            details: dict[str, Any] = {"Input Dims": e.input_shapes} if e.input_shapes else {}
            if self._memory:
                details["Bytes"] = e.cpu_memory_usage
            if e.stack:
                details["Call stack"] = e.stack
            traced.append(
                {
                    "ph": "X",
                    "cat": "user_annotation" if e.is_user_annotation else "cpu_op",
                    "name": e.name,
                    "pid": os.getpid(),
                    "tid": e.thread,
                    "ts": e.time_range.start,
                    "dur": e.cpu_time_total,
                    "args": details,
                }
            )
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"displayTimeUnit": "ms", "traceEvents": traced}, file)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width or width < 3 else f"{text[: width - 3]}..."


def _time(us: float) -> str:
    for size, unit in ((1e6, "s"), (1e3, "ms")):
        if us >= size:
            return f"{us / size:.3f}{unit}"
    return f"{us:.3f}us"


def _size(n: int) -> str:
    for size, unit in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if n >= size:
            return f"{n / size:.2f} {unit}"
    return f"{n} B"


class Recorder(Interceptor):
    """Times what this thread runs."""

    def __init__(self, shapes: bool, memory: bool, stack: bool, wait: Callable[[], None] | None) -> None:
        self.shapes, self.memory, self.stack, self.wait = shapes, memory, stack, wait
        self.events: list[FunctionEvent] = []
        self._open: FunctionEvent | None = None

    def begin(self, name: str, is_user_annotation: bool = False) -> FunctionEvent:
        """Open an event inside of the one that is open."""
        event = self._open = FunctionEvent(name, self._open, is_user_annotation)
        self.events.append(event)
        if self.stack:
            event.stack = _lines()
        event.time_range = Interval(time.perf_counter_ns() / 1000, 0.0)
        return event

    def end(self, event: FunctionEvent) -> None:
        """Close an event, and those still open inside."""
        if self.wait is not None:
            self.wait()
        event.time_range = Interval(event.time_range.start, time.perf_counter_ns() / 1000)
        self._open = event.cpu_parent

    def operation(self, op: Primitive, inputs: Sequence[Any], attributes: tuple, run: Callable[[], Any]) -> Any:
        """Time an operation."""
        event = self.begin(op_name(op).replace(".", "::"))
        try:
            result = run()
        finally:
            self.end(event)
        if self.shapes:
            event.input_shapes = [
                list(t.shape) if isinstance(t, Tensor) else [] for t in (inputs[0] if op.variadic else inputs)
            ]
        if self.memory and not event.cpu_children:
            results = result if isinstance(result, tuple) else (result,)
            event.self_cpu_memory_usage = sum(t._array.nbytes for t in results if t._view is None)
        return result

    def node(self, node: Node, g: Any, recorded: bool, run: Callable[[], Any]) -> Any:
        """Time a node."""
        event = self.begin(node.name())
        try:
            results = run()
        finally:
            self.end(event)
        several = g if isinstance(g, list) else [g]
        if self.shapes:
            event.input_shapes = [[] if one is None else list(one.shape) for one in several]
        if self.memory and not recorded:
            old = [owner_of(one) for one in several if one is not None]
            new = {id(owner): owner.nbytes for owner in (owner_of(r) for r in results if r is not None)}
            event.self_cpu_memory_usage = sum(n for i, n in new.items() if not any(i == id(o) for o in old))
        return results


def _lines() -> list[str]:
    """The user's lines that led here, the innermost first."""
    stack = traceback.extract_stack(user_frame())
    return [f"{frame.filename}({frame.lineno}): {frame.name}" for frame in reversed(stack)]


class record_function(contextlib.ContextDecorator):
    """A block, or a decorated function, that profiles show under a name.

    >>> with profile() as prof, record_function("forward"):
    ...     y = model(x)
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args
        self._running: list[list[tuple[Recorder, FunctionEvent]]] = []

    def __enter__(self) -> record_function:
        recorders = [i for i in state.interceptors if isinstance(i, Recorder)]
        self._running.append([(r, r.begin(self.name, True)) for r in recorders])
        return self

    def __exit__(self, *exc: object) -> None:
        for recorder, event in self._running.pop():
            recorder.end(event)

    def _recreate_cm(self) -> record_function:
        return type(self)(self.name, self.args)  # decorated functions may run in several threads


class profile:
    """A block whose operations and backward nodes are timed.

    enabled: False: do nothing. use_device: "cuda": wait for the device after each operation, whose time is that of its
    kernels then. record_shapes: keep the inputs' shapes. profile_memory: count the bytes allocated for results.
    with_stack: keep the lines that led to each call.

    Only this thread is watched, and nothing is slower outside of the block. Views by indexing are not shown.

    >>> with profile() as prof:
    ...     y = model(x).sum()
    ...     y.backward()
    >>> print(prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=10))
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_device: str | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
    ) -> None:
        self.enabled, self.profile_memory = enabled, profile_memory
        self._recorder = Recorder(
            record_shapes, profile_memory, with_stack, cuda.synchronize if use_device == "cuda" else None
        )
        self._done = False

    def __enter__(self) -> profile:
        if self._done or self._recorder in state.interceptors:
            raise RuntimeError("Profiler context manager is not reentrant")
        if self.enabled:
            self._recorder.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.enabled:
            self._recorder.stop()
        self._done = True

    @property
    def function_events(self) -> EventList:
        """All events, in the order in which they began. Raises RuntimeError before the block has ended."""
        if not self._done:
            raise RuntimeError("Profiler didn't finish running")
        return EventList(self._recorder.events, self.profile_memory)

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """The sums of events by name; see `EventList.key_averages`."""
        return self.function_events.key_averages(group_by_input_shape, group_by_stack_n)

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """All events as text; see `EventList.table`."""
        return self.function_events.table(sort_by, row_limit, **options)

    def total_average(self) -> FunctionEventAvg:
        """The sum of all events."""
        return self.function_events.total_average()

    def export_chrome_trace(self, path: str | os.PathLike) -> None:
        """Write the events as a file for ui.perfetto.dev or chrome://tracing."""
        self.function_events.export_chrome_trace(path)

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all events, in microseconds."""
        return self.function_events.self_cpu_time_total

    def __str__(self) -> str:
        return str(self.function_events) if self._done else "<unfinished profile>"
