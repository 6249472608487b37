"""OpenMP, for scripts that ask for it."""


def is_available() -> bool:
    """Whether large pointwise formulas run in compiled kernels, whose loops are shared out by OpenMP."""
    from . import compiler

    return compiler.find() is not None
