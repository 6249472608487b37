"""`gradcu.autograd.anomaly_mode`: find the forward line whose backward fails or gives NaN."""

from __future__ import annotations

import contextlib
import warnings

from ..graph.anomaly import settings, switch

__all__ = ["detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "set_detect_anomaly"]


class set_detect_anomaly:
    """Switch anomaly detection on or off, at once as a function or for a `with` block; see `detect_anomaly`."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = settings.enabled, settings.check_nan
        switch(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        switch(*self._before)


class detect_anomaly(contextlib.ContextDecorator):
    """A block, or a decorator, that finds the operation at fault when a backward fails.

    A warning then shows the traceback of the forward call, if that ran in such a block too. With `check_nan` a backward
    that gives NaN raises RuntimeError. Everything recorded inside is slower.

    >>> with detect_anomaly():
    ...     (x.sqrt() * 0).backward()
    Traceback (most recent call last):
    RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self._before = settings.enabled, settings.check_nan
        switch(True, self.check_nan)

    def __exit__(self, *exc: object) -> None:
        switch(*self._before)


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return settings.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection, when on, looks for NaN."""
    return settings.check_nan
