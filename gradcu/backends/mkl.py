"""Intel's MKL, for scripts that ask for it: matrices are multiplied by the BLAS that NumPy brings."""


def is_available() -> bool:
    """False."""
    return False
