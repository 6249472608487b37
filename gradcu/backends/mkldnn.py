"""oneDNN, once MKL-DNN, for scripts that ask for it or switch it off: it is not used."""

enabled = False


def is_available() -> bool:
    """False."""
    return False
