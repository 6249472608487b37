"""For which types each kernel is compiled: what `gradcu.cuda.warmup` compiles ahead, and tests compile for each GPU."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

REAL = ("float", "double")
FLOATS = ("__half", "__nv_bfloat16", *REAL)
INTEGERS = ("signed char", "unsigned char", "short", "int", "long long")


def _combined(*types: Iterable[str]) -> list[str]:
    return [", ".join(chosen) for chosen in itertools.product(*types)]


_COMBINED = _combined(("add", "multiply", "maximum", "minimum"), (*FLOATS, *INTEGERS))
_BY = ("absolute", "square", "greatest")
_ORDERED = (*FLOATS, "int", "long long")
#: sums of half precision are kept in float, between the steps of a reduction
_REDUCTIONS = [
    *(f"add, {t}, {t}" for t in (*FLOATS, "long long")),
    *(f"add, {', '.join(pair)}" for t in ("__half", "__nv_bfloat16") for pair in ((t, "float"), ("float", t))),
    *(f"{by}, {t}, {t}" for by in ("maximum", "minimum") for t in _ORDERED),
]
_CODES = _combined(FLOATS, ("unsigned char", "int"))
#: how many elements of a type are 16 bytes, where a thread takes several at a time
SEVERAL = {"__half": "8", "__nv_bfloat16": "8", "float": "4", "double": "2"}
_PACKS = [f"{t}, {n}" for t in FLOATS for n in ("1", SEVERAL[t])]
#: elements, and weights of the same type or the one that is computed in
_WEIGHTED = [f"{t}, {w}, {n}" for t in FLOATS for w in ((t, "float") if "_" in t else (t,)) for n in ("1", SEVERAL[t])]
#: heads of up to 64 features, and in single precision of up to 128
_HEADS = [*_combined(FLOATS, ("2",)), "float, 4"]

#: by file and function, the arguments of the template
INSTANCES: dict[str, dict[str, Iterable[str]]] = {
    "attention": dict.fromkeys(("attention", "attention_queries", "attention_keys"), _HEADS),
    "cross_entropy": dict.fromkeys(("cross_entropy", "cross_entropy_x"), _PACKS),
    "norm": {
        **dict.fromkeys(("standardize", "standardize_x", "standardize_weights"), _WEIGHTED),
        "scale_channels": _PACKS,
    },
    "optim": {
        **dict.fromkeys(("sgd", "adam", "rescale"), _PACKS),
        "block_norms": _combined(_BY, _PACKS),
        "tensor_norms": _combined(_BY, FLOATS),
    },
    "random": {**dict.fromkeys(("uniform", "normal", "exponential"), REAL), "integers": ["long long"], "noise": FLOATS},
    "recurrent": dict.fromkeys(("step", "step_back", "gru", "gru_backward"), FLOATS),
    "reduce": {"reduction": _REDUCTIONS, "place": _combined(("maximum", "minimum"), _ORDERED)},
    "resample": {"resample": FLOATS},
    "scan": {
        "scan": [
            *_combined(("sums", "products"), (*FLOATS, "long long")),
            *_combined(("log_sums", "recurrences"), FLOATS),
            *_combined(("largest", "smallest"), (*FLOATS, "long long")),
        ]
    },
    "scatter": dict.fromkeys(("scatter", "scatter_in_order"), _COMBINED),
    "softmax": dict.fromkeys(("softmax", "log_softmax", "softmax_x", "log_softmax_x"), _PACKS),
    "windows": {
        **dict.fromkeys(("max_pool", "pool_scatter", "pool_gather"), _CODES),
        **dict.fromkeys(("window_sum", "window_spread", "im2col", "col2im"), FLOATS),
    },
}


def instances(ctypes: Iterable[str]) -> Iterator[tuple[str, str]]:
    """File and instance of each kernel for the given C types, as `xp.kernel` takes them."""
    wanted = set(ctypes)
    for family, functions in INSTANCES.items():
        for function, types in functions.items():
            for chosen in types:
                if wanted & set(chosen.split(", ")):
                    yield family, f"{function}<{chosen}>"
