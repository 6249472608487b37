"""Checkpoints: `save` and `load` in PyTorch's format, `save_file` and `load_file` in safetensors'.

Nothing in a file is executed unless the user asks for it by `weights_only=False`.
"""

from .names import (
    add_safe_globals as add_safe_globals,
    clear_safe_globals as clear_safe_globals,
    get_safe_globals as get_safe_globals,
    safe_globals as safe_globals,
)
from .reading import get_unsafe_globals_in_checkpoint as get_unsafe_globals_in_checkpoint, load as load
from .safetensors import load_file as load_file, save_file as save_file
from .writing import save as save
