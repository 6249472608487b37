"""C++ source of an expression: one loop, in which every part is computed once."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from .symbols import BASIC, Symbol, Trace

#: the functions for which the C library has vector forms: declared so, GCC calls those in a loop
VECTOR = "sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh exp exp2 expm1 log log2 log10 log1p erf erfc".split()
VECTOR_OF_TWO = "pow atan2 hypot".split()

PREAMBLE = """#include <cstddef>
#ifdef VECTOR_MATH
#define SIMD __attribute__((simd("notinbranch")))
#else
#define SIMD
#endif
extern "C" {{
{declarations}
}}
typedef {T} T;
"""


def preamble(c_type: str, functions: Sequence[str]) -> str:
    """The type of a kernel and the functions of the C library that it calls."""
    declarations = []
    for name in functions:
        plain = name[:-1] if c_type == "float" else name
        simd = "SIMD " if plain in VECTOR or plain in VECTOR_OF_TWO else ""
        count = 2 if plain in VECTOR_OF_TWO or plain == "copysign" else 1
        declarations.append(f"{simd}{c_type} {name}({', '.join([c_type] * count)}) noexcept;")
    return PREAMBLE.format(T=c_type, declarations="\n".join(declarations))


def number(value: float) -> str:
    """A constant in C++."""
    if math.isnan(value):
        return "T(__builtin_nan(\"\"))"
    if math.isinf(value):
        return "T(__builtin_inf())" if value > 0 else "T(-__builtin_inf())"
    return f"T({value!r})"


def kernel_source(trace: Trace, outputs: Sequence[Symbol], name: str, c_type: str) -> str:
    """A function `name(inputs..., outputs..., begin, end)` over contiguous arrays of one type."""
    body, names = [], {}

    def write(symbol: Symbol) -> str:
        """The variable that holds a symbol, after the statements that compute it."""
        stack = [symbol]
        while stack:
            s = stack[-1]
            if id(s) in names:
                stack.pop()
                continue
            if s.op == "input":
                names[id(s)] = f"v_{s.args[0]}"
                continue
            if s.op == "constant":
                names[id(s)] = number(s.args[1])
                continue
            missing = [a for a in s.args if id(a) not in names]
            if missing:
                stack.extend(missing)
                continue
            logical = s.op.startswith("logical_")
            operands = []
            for i, a in enumerate(s.args):
                text = names[id(a)]
                if s.op == "where" and i == 0 or logical:
                    operands.append(text if a.boolean else f"({text} != T(0))")
                else:
                    operands.append(f"T({text})" if a.boolean and not s.boolean else text)
            variable = f"t{len(body)}"
            body.append(f"        const {'bool' if s.boolean else 'T'} {variable} = {BASIC[s.op].format(*operands)};")
            names[id(s)] = variable
        return names[id(symbol)]

    results = [write(o) for o in outputs]
    suffix = "f" if c_type == "float" else ""
    text = "\n".join(body)
    functions = sorted({f + suffix for f in re.findall(r"\bm\((\w+)\)", text)})
    text = re.sub(r"\bm\((\w+)\)", rf"\1{suffix}", text)
    arguments = [f"const T* __restrict {n}" for n in trace.inputs] + [f"T* __restrict out{i}" for i in range(len(outputs))]
    loads = [f"        const T v_{n} = {n}[i];" for n in trace.inputs]
    stores = [f"        out{i}[i] = T({r});" for i, r in enumerate(results)]
    return (
        preamble(c_type, functions)
        + f'extern "C" void {name}({", ".join(arguments)}, ptrdiff_t begin, ptrdiff_t end) {{\n'
        + "    #pragma omp simd\n    for (ptrdiff_t i = begin; i < end; i++) {\n"
        + "\n".join([*loads, text, *stores])
        + "\n    }\n}\n"
    )
