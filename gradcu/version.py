"""The package's version, read by the build, and what PyTorch says beside it of how it was built."""

__version__ = "0.1.0"

cuda = None  # gradcu is built without CUDA and takes the one that CuPy brings
hip = None
debug = False
git_version = ""
