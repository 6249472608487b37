"""CUDA C++ of an expression: for `cupy.ElementwiseKernel`, which broadcasts operands of any strides by itself, and as a
kernel for large contiguous operands, whose threads read and write 16 bytes at a time."""

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
    before, inside, text = _statements(results)
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
    lines = [f"typedef {real} T;", *loads, *before, *inside, *stores]
    return ", ".join(parameters), ", ".join(outputs), "\n".join(lines)


def packed_source(trace: Trace, results: Sequence[Symbol], element: str, alone: Sequence[bool]) -> str:
    """A kernel `pointwise` over contiguous arrays of the C type `element` and of one size, which is its last argument.

    Arrays begin at multiples of 16 bytes; of the arguments that are `alone` one element stands for all. For `x * x + n`
    of float32 this is

        extern "C" __global__ void pointwise(const float* a0, const double a1, float* out0, const long long size) {
            typedef Of<float>::wide T;
            constexpr int N = 16 / sizeof(float);
            const long long first = thread() * N, left = size - first;
            if (left <= 0) return;
            const Pack<T, N> p_a0 = read<N>(a0 + first, left);
            Pack<T, N> p_out0;
            for (int k = 0; k < N; k++) {
                const T v_a0 = p_a0[k];
                const T t0 = v_a0 * v_a0;
                const T t1 = t0 + T(a1);
                p_out0[k] = T(t1);
            }
            write(out0 + first, p_out0, left);
        }
    """
    before, inside, text = _statements(results)
    parameters, reads, loads, stores, writes = [], [], [], [], []
    for a, single in zip(trace.arguments, alone, strict=True):
        name = a.args[0]
        if a.op == "number":
            parameters.append(f"const double {name}")
            continue
        stored, kind = ("bool", "bool") if a.boolean else (element, "T")
        parameters.append(f"const {stored}* {name}")
        if single:
            reads.append(f"const {kind} v_{name} = wide(*{name});")
        else:
            reads.append(f"const Pack<{kind}, N> p_{name} = read<N>({name} + first, left);")
            loads.append(f"    const {kind} v_{name} = p_{name}[k];")
    for i, r in enumerate(results):
        stored, kind = ("bool", "bool") if r.boolean else (element, "T")
        parameters.append(f"{stored}* out{i}")
        reads.append(f"Pack<{kind}, N> p_out{i};")
        stores.append(f"    p_out{i}[k] = {kind}({text[id(r)]});")
        writes.append(f"write(out{i} + first, p_out{i}, left);")
    lines = [
        f"typedef Of<{element}>::wide T;",
        f"constexpr int N = 16 / sizeof({element});",
        "const long long first = thread() * N, left = size - first;",
        "if (left <= 0) return;",
        *reads,
        *before,
        "for (int k = 0; k < N; k++) {",
        *loads,
        *(f"    {line}" for line in inside),
        *stores,
        "}",
        *writes,
    ]
    signature = ", ".join([*parameters, "const long long size"])
    body = "".join(f"    {line}\n" for line in lines)
    return f'#include "common.cuh"\nextern "C" __global__ void pointwise({signature}) {{\n{body}}}\n'


def _statements(results: Sequence[Symbol]) -> tuple[list[str], list[str], dict[int, str]]:
    """`cpp.statements`, with the names that NVRTC knows."""
    before, inside, text = statements(results, lambda f, number: {"nearbyint": "rint"}.get(f, f))
    return [*map(_known, before)], [*map(_known, inside.values())], {part: _known(t) for part, t in text.items()}


def _known(text: str) -> str:
    for builtin, value in BUILTINS.items():
        text = text.replace(builtin, value)
    return text
