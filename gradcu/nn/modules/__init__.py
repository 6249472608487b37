"""PyTorch's import paths of the layers: `gradcu.nn.modules.pooling` has what `gradcu.nn.pool` defines."""

from __future__ import annotations

import sys
from types import ModuleType

from .. import (
    activation,
    adaptive,
    attention,
    container,
    conv,
    distance,
    dropout,
    embedding,
    flatten,
    hooks,
    lazy,
    linear,
    loss,
    module,
    norm,
    padding,
    pool,
    rnn,
    state,
)
from . import utils as utils

_PLACES = {
    "activation": (activation, attention),
    "adaptive": (adaptive,),
    "batchnorm": (norm, lazy),
    "channelshuffle": (flatten,),
    "container": (container,),
    "conv": (conv, lazy),
    "distance": (distance,),
    "dropout": (dropout,),
    "flatten": (flatten,),
    "fold": (flatten,),
    "instancenorm": (norm, lazy),
    "lazy": (lazy,),
    "linear": (linear, lazy, attention),
    "loss": (loss,),
    "module": (hooks, state, module),
    "normalization": (norm,),
    "padding": (padding,),
    "pixelshuffle": (flatten,),
    "pooling": (pool,),
    "rnn": (rnn,),
    "sparse": (embedding,),
    "transformer": (attention,),
    "upsampling": (flatten,),
}

for _name, _homes in _PLACES.items():
    _module = ModuleType(f"{__name__}.{_name}", f"The layers of PyTorch's `torch.nn.modules.{_name}`.")
    for _home in _homes:
        _module.__dict__.update({k: v for k, v in vars(_home).items() if not k.startswith("__")})
        globals().update({k: v for k, v in vars(_home).items() if not k.startswith("_")})
    sys.modules[_module.__name__] = globals()[_name] = _module
