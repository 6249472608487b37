"""C++ source of an expression: one loop, in which every part is computed once."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from .symbols import ARGUMENTS, BASIC, Symbol, Trace, parts

#: The functions for which the C library may have vector forms: declared so, GCC calls those in a loop, which takes a
#: tenth of the time. glibc has the first since 2.22, the others since 2.35 (on ARM since 2.40).
FIRST_VECTORS = "sin cos exp log pow".split()
VECTORS = "tan asin acos atan sinh cosh tanh asinh acosh atanh exp2 expm1 log2 log10 log1p erf erfc atan2 hypot".split()
OF_TWO = "pow atan2 hypot copysign".split()

PREAMBLE = """#include <cstddef>
typedef void (*Share)(void (*work)(void*, ptrdiff_t, ptrdiff_t), void* data, ptrdiff_t size, int threads);
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

KERNEL = """{preamble}
static void {name}_part({parameters}, ptrdiff_t begin, ptrdiff_t end) {{
    typedef {c_type} T;
{before}    #pragma omp simd
    for (ptrdiff_t i = begin; i < end; i++) {{
{inside}
    }}
}}

extern "C" void {name}({parameters}, ptrdiff_t size, int threads, Share share) {{
    auto part = [=](ptrdiff_t begin, ptrdiff_t end) {{ {name}_part({names}, begin, end); }};
    auto work = [](void* data, ptrdiff_t begin, ptrdiff_t end) {{ (*(decltype(part)*)data)(begin, end); }};
    if (threads > 1) share(work, &part, size, threads);
    else part(0, size);
}}
"""


def declaration(function: str) -> str:
    """Of a function of the C library, such as expf."""
    plain = function.removesuffix("f") if function not in ("erf",) else function
    c_type = "double" if plain == function else "float"
    simd = "SIMD1 " if plain in FIRST_VECTORS else "SIMD2 " if plain in VECTORS else ""
    return f'extern "C" {simd}{c_type} {function}({", ".join([c_type] * (1 + (plain in OF_TWO)))}) noexcept;\n'


def vectors_needed(source: str) -> int:
    """2 if a source calls functions with vector forms, 1 if the first ones of these alone, 0 if none."""
    return 2 if 'C" SIMD2' in source else 1 if 'C" SIMD1' in source else 0


def vectors_probe(level: int) -> str:
    """A source that links where the C library has the vector forms up to a level: some of them stand for all."""
    functions = ["expf", "sin", "logf", "powf", "erff", "tanh", "hypotf", "log1p"][: 4 * level]
    kernels = []
    for f in functions:
        call = f"{f}(a[i], a[i])" if f.removesuffix("f") in OF_TWO else f"{f}(a[i])"
        kernels.append(
            f"{declaration(f)}void probe_{f}({'float' if f.endswith('f') else 'double'}* a, int n) {{\n"
            f"    #pragma omp simd\n    for (int i = 0; i < n; i++) a[i] = {call};\n}}\n"
        )
    return PREAMBLE + "".join(kernels)


def number(value: float) -> str:
    """A constant in C++."""
    if math.isnan(value):
        return '__builtin_nan("")'
    if math.isinf(value):
        return "__builtin_inf()" if value > 0 else "-__builtin_inf()"
    return repr(value) if math.copysign(1, value) > 0 else f"({value!r})"


def kernel_source(trace: Trace, results: Sequence[Symbol], name: str, c_type: str) -> str:
    """A function `name(arguments..., outputs..., size, threads, share)` over contiguous arrays of one type.

    What is computed from numbers alone is a double and stands before the loop; it becomes a T where it meets elements.
    `share` is the function of threads.cpp, used if there are `threads` to share the loop.
    """
    text: dict[int, str] = {}
    before: list[str] = []
    inside: list[str] = []
    for s in parts(results):
        if s.op in ARGUMENTS:
            text[id(s)] = f"v_{s.args[0]}" if s.op == "array" else s.args[0]
        elif s.op == "constant":
            text[id(s)] = number(s.args[1])
        else:
            converted = [a.number != s.number or a.boolean for a in s.args]
            if s.boolean or s.op == "where":  # booleans stay what they are as conditions, and among themselves
                converted = [c and not a.boolean for c, a in zip(converted, s.args)]
            operands = [
                f"{'double' if s.number else 'T'}({text[id(a)]})" if c else text[id(a)]
                for a, c in zip(s.args, converted)
            ]
            value = BASIC[s.op].format(*operands)
            if s.number:
                value = re.sub(r"\bT\(", "double(", value)
            value = re.sub(r"\bm\((\w+)\)", r"\1" if s.number or c_type == "double" else r"\1f", value)
            text[id(s)] = f"t{len(before) + len(inside)}"
            kind = "bool" if s.boolean else "double" if s.number else "T"
            (before if s.number else inside).append(f"const {kind} {text[id(s)]} = {value};")
    arguments, stores = [], []
    for a in trace.arguments:
        kind = {"array": f"const {c_type}*", "uniform": f"const {c_type}", "number": "const double"}[a.op]
        arguments.append((kind, a.args[0]))
    arrays = [a.args[0] for a in trace.arguments if a.op == "array"]
    loads = [f"const T v_{a} = {a}[i];" for a in arrays]
    for i, r in enumerate(results):
        kind = "bool" if r.boolean else c_type
        arguments.append((f"{kind}*", f"out{i}"))
        stores.append(f"out{i}[i] = {kind}({text[id(r)]});")
    lines = "\n".join(before + inside)
    declared = sorted({f for f in re.findall(r"\b([a-z][a-z0-9]*)\(", lines) if f not in ("bool", "double")})
    return KERNEL.format(
        preamble=PREAMBLE + "".join(map(declaration, declared)),
        name=name,
        c_type=c_type,
        parameters=", ".join(f"{kind} {a}" for kind, a in arguments),
        names=", ".join(a for _, a in arguments),
        before="".join(f"    {line}\n" for line in before),
        inside="\n".join(f"        {line}" for line in [*loads, *inside, *stores]),
    )
