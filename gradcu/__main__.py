"""The command line: `gradcu demo`, or `python -m gradcu demo`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gradcu.version import __version__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gradcu", description="Autograd with PyTorch's API, on NumPy or CUDA.")
    parser.add_argument("--version", action="version", version=f"gradcu {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="train a small convolutional network on real handwritten digits",
        description="Train a small convolutional network on scikit-learn's 1,797 handwritten digits; "
        "write a checkpoint, a loss curve and a picture of predictions.",
    )
    demo.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes CUDA if it works")
    demo.add_argument("--epochs", type=_positive, default=10, metavar="N", help="epochs of this run (default: 10)")
    demo.add_argument("--out", type=Path, default=Path("gradcu-demo"), metavar="DIR", help="default: ./gradcu-demo")
    demo.add_argument("--resume", action="store_true", help="go on from the checkpoint in DIR")
    demo.add_argument("--seed", type=int, default=0, metavar="N", help="of the weights and the batches (default: 0)")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {value}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (by default the process's arguments) and return the exit status.

    Example:
        >>> main(["demo", "--epochs", "2", "--out", "digits"])  # doctest: +SKIP
        0
    """
    options = _parser().parse_args(argv)

    # Imported late: `gradcu --help` needs none of it.
    from gradcu.demo import DemoError, run

    try:
        run(options.device, options.epochs, options.out, options.resume, options.seed)
    except DemoError as error:
        print(f"gradcu demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
