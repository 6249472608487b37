"""Time gradcu against PyTorch, workload by workload: `python benchmarks/run.py --help`.

Both libraries run a workload, each in a process of its own. First they take a few steps from equal values, and their
results are compared; then they are asked in turn for one timed batch each, so that the machine's noise meets both
alike. A ratio is that of two neighbouring batches. All this is repeated in fresh processes, because a process's memory
layout alone can change its speed by half.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import numpy as np
from worker import Failure, Fingerprint, Worker
from workloads import WORKLOADS, Workload

HERE = Path(__file__).resolve().parent
IMPORT = "import time"
IMPORT_BOUND = 0.060  # seconds above `import numpy`
IMPORT_RUNS = 5
LAUNCHES = 3
TOLERANCE = {"cpu": 1e-3, "cuda": 1e-2}  # of a tensor's norm; by default PyTorch convolves in TF32 on CUDA
SETTLE = 0.03  # seconds; BLAS and OpenMP threads spin on for a while after their last work
ROW = "{:<29} {:>10} {:>10} {:>6}  {:<13} {:>6}  {}"


def check(ours: Fingerprint, theirs: Fingerprint, tolerance: float) -> None:
    if [size for size, *_ in ours] != [size for size, *_ in theirs]:
        raise Failure("the two libraries' results have different sizes")
    for i, ((_, norm, dot), (_, norm2, dot2)) in enumerate(zip(ours, theirs)):
        if not max(abs(norm - norm2), abs(dot - dot2)) <= tolerance * norm2 + 1e-6:  # so NaN fails
            raise Failure(f"result {i}: norm {norm:.6g} against {norm2:.6g}, checksum {dot:.6g} against {dot2:.6g}")


def compare(work: Workload, options: argparse.Namespace) -> dict[str, Any]:
    """Check and time one workload."""
    seconds: tuple[list[float], list[float]] = ([], [])
    setting = options.device, options.threads
    for _ in range(LAUNCHES):
        with Worker(options.candidate, *setting) as ours, Worker(options.reference, *setting) as theirs:
            check(ours.ask("prepare", work.name), theirs.ask("prepare", work.name), TOLERANCE[options.device])
            turns = [(worker, worker.ask("calibrate"), times) for worker, times in zip((ours, theirs), seconds)]
            for _ in range(options.rounds):
                for worker, count, times in turns:
                    time.sleep(SETTLE)
                    times.append(worker.ask("batch", count))
    ratios = [a / b for a, b in zip(*seconds)]
    low, middle, high = map(float, np.percentile(ratios, [25, 50, 75]))
    result: dict[str, Any] = {"seconds": [median(times) for times in seconds], "ops": work.ops, "target": work.target}
    result |= {"ratio": middle, "quartiles": [low, high], "ratios": ratios}
    return result | {"held": None if work.target is None else middle <= work.target}


def import_seconds(library: str) -> float:
    """How long importing the library takes once NumPy is there: the median of fresh processes."""
    code = f"import numpy, time; t = time.perf_counter(); import {library}; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(1 + IMPORT_RUNS):  # the first one may have to write bytecode
        run = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True)
        if run.returncode:
            raise Failure(f"{library}: {run.stderr.strip().splitlines()[-1]}")
        times.append(float(run.stdout.split()[-1]))
    return median(times[1:])


def compare_imports(options: argparse.Namespace) -> dict[str, Any]:
    seconds = [import_seconds(library) for library in (options.candidate, options.reference)]
    return {"seconds": seconds, "target": f"{1e3 * IMPORT_BOUND:.0f} ms", "held": seconds[0] <= IMPORT_BOUND}


def show_time(seconds: float) -> str:
    scale, unit = next(((s, u) for s, u in ((1, "s"), (1e-3, "ms")) if seconds >= s), (1e-6, "us"))
    return f"{seconds / scale:.4g} {unit}"


def row(*cells: Any) -> None:
    print(ROW.format(*cells).rstrip(), flush=True)


def show(name: str, result: dict[str, Any]) -> None:
    """Print a workload's row of the table, and one per op where the ops are counted."""
    if "failure" in result:
        print(f"{name:<29} FAILED: {result['failure']}", flush=True)
        return
    ratio = spread = ""
    if "ratio" in result:
        ratio, spread = f"{result['ratio']:.2f}", "{:.2f} to {:.2f}".format(*result["quartiles"])
    held = {True: "held", False: "MISSED", None: ""}[result["held"]]
    row(name, *map(show_time, result["seconds"]), ratio, spread, result["target"] or "", held)
    if result.get("ops"):
        row("  per op", *(show_time(seconds / result["ops"]) for seconds in result["seconds"]), "", "", "", "")


def measure(options: argparse.Namespace, names: list[str]) -> dict[str, Any]:
    """Run the named workloads, print the table, and return the report."""
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    for library in (options.candidate, options.reference):
        with Worker(library, options.device, options.threads) as worker:
            versions[library], device_name = worker.ask("describe")
    date = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    report = {"date": date, "device": options.device, "device_name": device_name, "platform": platform.platform()}
    print(f"{device_name}, {options.threads} threads, {', '.join(map(' '.join, versions.items()))}\n")
    row("workload", options.candidate, options.reference, "ratio", "quartiles", "target", "")
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            results[name] = compare_imports(options) if name == IMPORT else compare(WORKLOADS[name], options)
        except Failure as failure:
            results[name] = {"failure": str(failure)}
        show(name, results[name])
    ratios = [result["ratio"] for result in results.values() if "ratio" in result]
    mean = geometric_mean(ratios) if ratios else None
    if mean:
        row("geometric mean", "", "", f"{mean:.2f}", "", "", "")
    report |= {"threads": options.threads, "versions": versions}
    return report | {"launches": LAUNCHES, "rounds": options.rounds, "workloads": results, "geometric_mean": mean}


def save(report: dict[str, Any], path: str) -> None:
    device = "cpu" if report["device"] == "cpu" else re.sub(r"\W+", "-", report["device_name"].lower())
    file = Path(path) if path else HERE / "results" / f"{report['date'][:10]}-{device}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=1) + "\n")
    print(f"saved to {file}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Time gradcu against PyTorch, workload by workload.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", metavar="REGEX", default="", help="run the workloads whose name this matches")
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="", help="save; default results/<date>-<device>.json"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help=f"batches in each of {LAUNCHES} launches")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N", help="default: one for each core")
    parser.add_argument("--candidate", default="gradcu", metavar="NAME", help="library that is measured")
    parser.add_argument("--reference", default="torch", metavar="NAME", help="library that it is measured against")
    parser.add_argument("--list", action="store_true", help="print the workloads' names and stop")
    options = parser.parse_args()
    if min(options.rounds, options.threads) < 1:
        parser.error("--rounds and --threads must be at least 1")
    names = [name for name in (*WORKLOADS, IMPORT) if re.search(options.only, name, re.IGNORECASE)]
    if options.list or not names:
        print("\n".join(names) or f"no workload's name matches {options.only!r}")
        return 0 if names else 2
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # the workers inherit them
    sys.path.insert(0, str(HERE.parent))  # and this: they run this checkout's gradcu
    try:
        report = measure(options, names)
    except Failure as failure:
        print(f"cannot start: {failure}\nInstall what is missing, or see --candidate and --reference.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    if options.json is not None:
        save(report, options.json)
    return int(any("failure" in result for result in report["workloads"].values()))


if __name__ == "__main__":
    sys.exit(main())
