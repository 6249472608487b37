"""Apple's GPUs, for scripts that ask for them: there is no support."""


def is_available() -> bool:
    """False."""
    return False


def is_built() -> bool:
    """False."""
    return False
