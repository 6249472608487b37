"""`spawn`: one function in several processes, whose errors reach the caller."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing import connection
from typing import Any


class ProcessException(Exception):
    """A process failed: which (`error_index`, `error_pid`), and how."""

    def __init__(self, msg: str, error_index: int, error_pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.error_pid = msg, error_index, error_pid

    def __reduce__(self) -> tuple:
        return type(self), (self.msg, self.error_index, self.error_pid)


class ProcessRaisedException(ProcessException):
    """A process raised an exception, whose traceback is in the message."""


class ProcessExitedException(ProcessException):
    """A process was ended by a signal or by an exit code other than 0."""

    def __init__(
        self, msg: str, error_index: int, error_pid: int, exit_code: int, signal_name: str | None = None
    ) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self) -> tuple:
        return type(self), (self.msg, self.error_index, self.error_pid, self.exit_code, self.signal_name)


class ProcessContext:
    """The processes that `spawn(..., join=False)` started."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes, self._errors = processes, errors
        self._running = {p.sentinel: i for i, p in enumerate(processes)}

    def pids(self) -> list[int]:
        """The numbers of the processes."""
        return [p.pid for p in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait until a process ends, at most `timeout` seconds; True when all have ended well.

        If one failed, the others are ended (after `grace_period` seconds, by force) and ProcessRaisedException or
        ProcessExitedException is raised.
        """
        ended = connection.wait(list(self._running), timeout)
        for index in sorted(self._running.pop(sentinel) for sentinel in ended):
            self.processes[index].join()
            if self.processes[index].exitcode:
                self._end(30.0 if grace_period is None else grace_period)
                self._raise(index)
        return not self._running

    def _end(self, grace_period: float) -> None:
        for process in self.processes:
            process.terminate()
        deadline = time.monotonic() + grace_period
        for process in self.processes:
            process.join(max(deadline - time.monotonic(), 0))
            if process.is_alive():
                process.kill()
            process.join()

    def _raise(self, index: int) -> None:
        failed, errors = self.processes[index], self._errors[index]
        with contextlib.suppress(EOFError):
            text = f"\n\n-- Process {index} terminated with the following error:\n{errors.recv()}"
            raise ProcessRaisedException(text, index, failed.pid)
        code = failed.exitcode
        if code < 0:
            name = signal.Signals(-code).name
            raise ProcessExitedException(
                f"process {index} terminated with signal {name}", index, failed.pid, code, name
            )
        raise ProcessExitedException(f"process {index} terminated with exit code {code}", index, failed.pid, code)


def _run(function: Callable, index: int, args: tuple, errors: Any) -> None:
    try:
        function(index, *args)
    except KeyboardInterrupt:
        pass  # the caller sees it, too
    except Exception:
        errors.send(traceback.format_exc())
        sys.exit(1)


def start_processes(
    fn: Callable,
    args: tuple = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Call `fn(i, *args)` for i from 0 to nprocs - 1, each in a process of its own; see `spawn`."""
    context: Any = multiprocessing.get_context(start_method)
    processes, errors = [], []
    for i in range(nprocs):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(fn, i, args, sender), daemon=daemon)
        process.start()
        sender.close()
        processes.append(process)
        errors.append(receiver)
    started = ProcessContext(processes, errors)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(
    fn: Callable,
    args: tuple = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Call `fn(i, *args)` for i from 0 to nprocs - 1, each in a process of its own, and wait for all.

    With join=False the processes are returned, as a `ProcessContext`, instead. `fn` must be one that can be imported.
    Raises ProcessRaisedException, with its traceback, if one of them raises, and ProcessExitedException if one is ended
    otherwise; the others are ended then.
    """
    return start_processes(fn, args, nprocs, join, daemon, start_method)
