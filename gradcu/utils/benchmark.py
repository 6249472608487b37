"""`Timer`: how long a statement takes, as `torch.utils.benchmark` measures it."""

from __future__ import annotations

import statistics
import timeit
from dataclasses import dataclass, field
from typing import Any

import gradcu

__all__ = ["Measurement", "Timer"]

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


@dataclass
class Measurement:
    """The seconds that `number_per_run` runs took, measured several times."""

    number_per_run: int
    raw_times: list[float]
    stmt: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    times: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.times = [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self) -> float:
        """The median of the seconds of one run."""
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        """The mean of the seconds of one run."""
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """The range of the middle half of the seconds of one run."""
        low, _, high = statistics.quantiles(self.times, n=4) if len(self.times) > 1 else (0.0, 0.0, 0.0)
        return high - low

    def __repr__(self) -> str:
        scale, unit = next((u for u in _UNITS if self.median >= u[0]), _UNITS[-1])
        title = self.label or self.stmt
        return (
            f"<gradcu.utils.benchmark.Measurement of {title}>\n"
            f"  median {self.median / scale:.2f} {unit}, IQR {self.iqr / scale:.2f} {unit}, "
            f"{len(self.times)} measurements of {self.number_per_run} runs"
        )


class Timer:
    """Times `stmt`, with the names in `globals`, after running `setup`; waits for CUDA devices.

    >>> Timer("x + x", globals={"x": ones(3)}).timeit(10).number_per_run
    10
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        num_threads: int = 1,
    ) -> None:
        self._names: dict[str, Any] = {"stmt": stmt, "label": label, "sub_label": sub_label, "description": description}
        self._threads = num_threads
        self._timer = timeit.Timer(stmt, setup, timer=_clock, globals={"torch": gradcu, **(globals or {})})

    def _seconds(self, number: int) -> float:
        before = gradcu.get_num_threads()
        gradcu.set_num_threads(self._threads)
        try:
            return self._timer.timeit(number)
        finally:
            gradcu.set_num_threads(before)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """One measurement of `number` runs, after a few that do not count."""
        self._seconds(max(number // 100, 2))
        return Measurement(number, [self._seconds(number)], **self._names)

    def blocked_autorange(self, callback: Any = None, min_run_time: float = 0.2) -> Measurement:
        """Measurements of as many runs as take a noticeable time, until `min_run_time` seconds have been measured."""
        self._seconds(2)
        number = 1
        while self._seconds(number) < min_run_time / 1000:
            number *= 10
        times: list[float] = []
        while sum(times) < min_run_time:
            times.append(self._seconds(number))
            if callback is not None:
                callback(number, times[-1])
        return Measurement(number, times, **self._names)


def _clock() -> float:
    if gradcu.cuda.is_initialized():
        gradcu.cuda.synchronize()
    return timeit.default_timer()
