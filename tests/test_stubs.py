"""The type stubs of what declarations make are fresh, and name what exists."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def test_stubs_are_fresh():
    done = subprocess.run([sys.executable, "tools/make_stubs.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run python tools/make_stubs.py"
