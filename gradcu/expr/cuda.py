"""CUDA C++ of an expression, for `cupy.ElementwiseKernel`, which broadcasts operands of any strides by itself."""

from __future__ import annotations

from collections.abc import Sequence

from .cpp import statements
from .symbols import Symbol, Trace

BUILTINS = {"__builtin_inf()": "(1.0 / 0.0)", '__builtin_nan("")': "(0.0 / 0.0)"}  # what NVRTC has not


def elementwise_source(trace: Trace, results: Sequence[Symbol]) -> tuple[str, str, str]:
    """The parameters, the outputs and the operation; elements are of the type E, and computed with as T.

    For `x * x + n` of float32 these are "E a0, float64 a1", "E out0" and

        typedef float T;
        const T v_a0 = T(a0);
        const T t0 = v_a0 * v_a0;
        const T t1 = t0 + T(a1);
        out0 = E(t1);
    """
    before, inside, text = statements(results, lambda f, number: {"nearbyint": "rint"}.get(f, f))
    parameters, loads = [], []
    for a in trace.arguments:
        name = a.args[0]
        parameters.append(f"{'float64' if a.op == 'number' else 'bool' if a.boolean else 'E'} {name}")
        if a.op != "number":
            kind = "bool" if a.boolean else "T"
            loads.append(f"const {kind} v_{name} = {kind}({name});")
    outputs = [f"{'bool' if r.boolean else 'E'} out{i}" for i, r in enumerate(results)]
    stores = [f"out{i} = {'bool' if r.boolean else 'E'}({text[id(r)]});" for i, r in enumerate(results)]
    real = "float" if trace.dtype.itemsize == 4 else "double"
    lines = [f"typedef {real} T;", *loads, *before, *inside.values(), *stores]
    operation = "\n".join(lines)
    for builtin, value in BUILTINS.items():
        operation = operation.replace(builtin, value)
    return ", ".join(parameters), ", ".join(outputs), operation
