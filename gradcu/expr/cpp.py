"""C++ source of an expression: one loop, in which every part is computed once."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from .symbols import ARGUMENTS, BASIC, Symbol, Trace, parts

#: the functions for which the C library has vector forms: declared so, GCC calls those in a loop. glibc has the first
#: since 2.22, the others since 2.35.
FIRST_VECTORS = "sin cos exp log pow".split()
VECTORS = (
    "tan asin acos atan sinh cosh tanh asinh acosh atanh exp2 expm1 log2 log10 log1p erf erfc atan2 hypot".split()
)
OF_TWO = "pow atan2 hypot copysign".split()

PREAMBLE = """#include <cstddef>
// VECTORS: 2 if the C library has vector forms of all functions, 1 if of the first ones, 0 if of none
#if VECTORS > 0
#define SIMD1 __attribute__((simd("notinbranch")))
#else
#define SIMD1
#endif
#if VECTORS > 1
#define SIMD2 __attribute__((simd("notinbranch")))
#else
#define SIMD2
#endif
"""


def declaration(function: str) -> str:
    """Of a function of the C library, such as expf."""
    plain = function.removesuffix("f") if function not in ("erf",) else function
    c_type = "double" if plain == function else "float"
    simd = "SIMD1 " if plain in FIRST_VECTORS else "SIMD2 " if plain in VECTORS else ""
    return f'extern "C" {simd}{c_type} {function}({", ".join([c_type] * (1 + (plain in OF_TWO)))}) noexcept;\n'


def number(value: float) -> str:
    """A constant in C++."""
    if math.isnan(value):
        return "__builtin_nan(\"\")"
    if math.isinf(value):
        return "__builtin_inf()" if value > 0 else "-__builtin_inf()"
    return repr(value) if math.copysign(1, value) > 0 else f"({value!r})"


def kernel_source(trace: Trace, results: Sequence[Symbol], name: str, c_type: str) -> str:
    """A function `name(arguments..., outputs..., begin, end)` over contiguous arrays of one type.

    What is computed from numbers alone is a double and stands before the loop; it becomes a T where it meets elements.
    """
    text: dict[int, str] = {}
    before, inside = [], []
    for s in parts(results):
        if s.op in ARGUMENTS:
            text[id(s)] = f"v_{s.args[0]}" if s.op == "array" else s.args[0]
        elif s.op == "constant":
            text[id(s)] = number(s.args[1])
        else:
            converted = [a.number != s.number or a.boolean for a in s.args]
            if s.boolean or s.op == "where":  # booleans stay what they are as conditions, and among themselves
                converted = [c and not a.boolean for c, a in zip(converted, s.args)]
            operands = [f"{'double' if s.number else 'T'}({text[id(a)]})" if c else text[id(a)] for a, c in zip(s.args, converted)]
            value = BASIC[s.op].format(*operands)
            if s.number:
                value = re.sub(r"\bT\(", "double(", value)
            value = re.sub(r"\bm\((\w+)\)", r"\1" if s.number or c_type == "double" else r"\1f", value)
            text[id(s)] = f"t{len(before) + len(inside)}"
            kind = "bool" if s.boolean else "double" if s.number else "T"
            (before if s.number else inside).append(f"const {kind} {text[id(s)]} = {value};")
    arguments = []
    for a in trace.arguments:
        kind = {"array": f"const {c_type}* __restrict", "uniform": f"const {c_type}", "number": "const double"}[a.op]
        arguments.append(f"{kind} {a.args[0]}")
    arrays = [a.args[0] for a in trace.arguments if a.op == "array"]
    loads = [f"const T v_{a} = {a}[i];" for a in arrays]
    stores = []
    for i, r in enumerate(results):
        kind = "bool" if r.boolean else c_type
        arguments.append(f"{kind}* __restrict out{i}")
        stores.append(f"out{i}[i] = {kind}({text[id(r)]});")
    lines = "\n".join(before + inside)
    declared = sorted({f for f in re.findall(r"\b([a-z][a-z0-9]*)\(", lines) if f not in ("bool", "double")})
    return (
        PREAMBLE
        + "".join(map(declaration, declared))
        + f'\nextern "C" void {name}({", ".join([*arguments, "ptrdiff_t begin", "ptrdiff_t end"])}) {{\n'
        + f"    typedef {c_type} T;\n"
        + "".join(f"    {line}\n" for line in before)
        + "    #pragma omp simd\n    for (ptrdiff_t i = begin; i < end; i++) {\n"
        + "".join(f"        {line}\n" for line in [*loads, *inside, *stores])
        + "    }\n}\n"
    )
