"""The table `resources.txt` of what kernels need on each architecture; `python -m tests.cuda.resources` writes it."""

import functools
import sys
from pathlib import Path

from gradcu.backends.gpu.instances import INSTANCES
from tests.cuda import nvrtc

KERNELS = Path(__file__).parents[2] / "kernels"
TABLE = Path(__file__).with_name("resources.txt")
HEAD = """\
# Registers / bytes of stack / bytes of static shared memory of each kernel, as NVRTC compiles it. Spilled registers
# are on the stack, and so are arrays that are indexed at run time. From sm_90 on the system takes 1024 bytes of shared
# memory.
"""


@functools.cache
def compiled(family: str, arch: str) -> tuple[bytes, dict[str, nvrtc.Resources]]:
    """The binary of `kernels/<family>.cu` for an architecture, and what each instance needs."""
    names = [f"{function}<{chosen}>" for function, types in INSTANCES[family].items() for chosen in types]
    return nvrtc.resources(KERNELS / f"{family}.cu", arch, options=("-std=c++17",), name_expressions=names)


def recorded() -> dict[tuple[str, str], nvrtc.Resources]:
    """What the table says, by instance and architecture."""
    found = {}
    for line in TABLE.read_text().splitlines():
        if not line.startswith("#"):
            name, *columns = (part.strip() for part in line.split("|"))
            for arch, column in zip(nvrtc.ARCHITECTURES, columns, strict=True):
                found[name, arch] = nvrtc.Resources(*map(int, column.split("/")))
    return found


def write() -> None:
    lines = [HEAD, f"# {'kernel':42} | " + " | ".join(f"{arch:>12}" for arch in nvrtc.ARCHITECTURES) + "\n"]
    for family in sorted(INSTANCES):
        measured = [compiled(family, arch)[1] for arch in nvrtc.ARCHITECTURES]
        for name in measured[0]:
            columns = ("/".join(map(str, needs[name])) for needs in measured)
            lines.append(f"{name:44} | " + " | ".join(f"{column:>12}" for column in columns) + "\n")
    TABLE.write_text("".join(lines))


if __name__ == "__main__":
    if (reason := nvrtc.missing()) is not None:
        sys.exit(reason)
    write()
