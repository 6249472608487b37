"""A library in a process of its own, which checks and times workloads when asked to."""

import importlib
import multiprocessing
import platform
import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from workloads import WORKLOADS, Step

import examples  # noqa: F401  # registers its workloads

CHECKED_STEPS = 3
SHORTEST_BATCH, USUAL_BATCH = 0.05, 0.075  # seconds

Fingerprint = list[tuple[int, float, float]]


class Failure(Exception):
    """A library could not do what it was asked, or did something else than the other."""


class Bench:
    """What runs in a worker process: one library, and the workload it has in hand."""

    step: Step

    def __init__(self, library: str, device: str, threads: int) -> None:
        self.torch, self.device = importlib.import_module(library), device
        self.version = str(getattr(self.torch, "__version__", "unknown"))
        if device == "cuda" and not self.torch.cuda.is_available():
            raise RuntimeError(f"version {self.version} sees no CUDA device")
        if hasattr(self.torch, "set_num_threads"):
            self.torch.set_num_threads(threads)

    def describe(self) -> tuple[str, str]:
        """The library's version and the device's name."""
        return self.version, self.torch.cuda.get_device_name() if self.device == "cuda" else cpu_name()

    def prepare(self, name: str) -> Fingerprint:
        """Build the workload, take a few steps, and return each result's size, norm and a sum that weighs positions."""
        self.step = WORKLOADS[name].build(self.torch, self.device)
        for _ in range(CHECKED_STEPS):
            results = self.step()
        arrays = [np.asarray(t.detach().cpu().numpy(), dtype=np.float64).ravel() for t in results]
        return [(a.size, float(np.linalg.norm(a)), float(a @ np.cos(np.arange(a.size)))) for a in arrays]

    def calibrate(self) -> int:
        """How many steps make a batch that is long enough to time."""
        count = 1
        while (seconds := count * self.batch(count)) < SHORTEST_BATCH:
            count = max(count + 1, min(10 * count, round(count * USUAL_BATCH / seconds)))
        return count

    def batch(self, count: int) -> float:
        """Seconds per step, over `count` steps after an untimed one; the cyclic collector is on, as for any user."""
        self.step()
        self.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            self.step()
        self.synchronize()
        return (time.perf_counter() - start) / count

    def synchronize(self) -> None:
        if self.device == "cuda":
            self.torch.cuda.synchronize()


def serve(pipe: Any, *arguments: Any) -> None:
    """Answer the parent's requests until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    bench = None
    try:
        while True:
            request, *values = pipe.recv()
            try:
                bench = bench or Bench(*arguments)
                pipe.send((True, getattr(bench, request)(*values)))
            except Exception as error:  # whatever the library raises is its result
                pipe.send((False, f"{type(error).__name__}: {error}"))
    except (EOFError, OSError):
        pass


class Worker:
    """The parent's end of a worker process, which lives as long as the `with` block."""

    def __init__(self, library: str, device: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.library = library
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, library, device, threads), daemon=True)
        self.process.start()
        theirs.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()

    def ask(self, *request: Any) -> Any:
        try:
            self.pipe.send(request)
            done, answer = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            raise Failure(f"{self.library}'s process died with exit code {self.process.exitcode}") from None
        if not done:
            raise Failure(f"{self.library}: {answer}")
        return answer


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()
