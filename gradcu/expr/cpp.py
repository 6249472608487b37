"""C++ source of an expression: one loop, in which every part is computed once."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence

from .symbols import ARGUMENTS, BASIC, STRIDED, Symbol, Trace, parts

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

ROW = """static void {name}_row({parameters}, ptrdiff_t begin, ptrdiff_t end) {{
    typedef {real} T;
{before}{loops}}}
"""
LOOP = """{indent}#pragma omp simd
{indent}for (ptrdiff_t i = {begin}; i < {end}; i++) {{
{lines}
{indent}}}
"""
#: A chain of functions waits for each of them in turn, and a processor can look ahead to no more than the next few
#: elements. So the chain is cut before each function, and the parts go over a block of elements one after another.
BLOCK = 512
BLOCKS = """    {kept};
    for (ptrdiff_t first = begin, last; first < end; first = last) {{
        last = end - first < {block} ? end : first + {block};
{loops}    }}
"""

KERNEL = """{preamble}
{row}
extern "C" void {name}({parameters}, {space}ptrdiff_t size, int threads, Share share) {{
    auto part = [=](ptrdiff_t begin, ptrdiff_t end) {{ {call}; }};
    auto work = [](void* data, ptrdiff_t begin, ptrdiff_t end) {{ (*(decltype(part)*)data)(begin, end); }};
    if (threads > 1) share(work, &part, size, threads);
    else part(0, size);
}}
"""

#: what goes from row to row; `space` is made by `backends.native.Space`
ROWS = """
// space: the length of a row; how many dimensions the rows have, and their lengths; of each operand that is not
// contiguous the step within a row, and those of the dimensions of the rows.
static void {name}_rows({parameters}, const ptrdiff_t* space, ptrdiff_t begin, ptrdiff_t end) {{
    const ptrdiff_t length = space[0], outer = space[1], *lengths = space + 2, *steps = lengths + outer;
    for (ptrdiff_t i = begin, count; i < end; i += count) {{
        ptrdiff_t row = i / length, first = i % length;
        ptrdiff_t at[{strided}];
        for (int a = 0; a < {strided}; a++) at[a] = first * steps[a * (outer + 1)];
        for (ptrdiff_t d = outer; d-- > 0; row /= lengths[d])
            for (int a = 0; a < {strided}; a++) at[a] += row % lengths[d] * steps[a * (outer + 1) + 1 + d];
        count = length - first < end - i ? length - first : end - i;
        {name}_row({moved}, 0, count);
    }}
}}
"""

#: How elements are stored, by dtype: C++ type, and what is written to read and to write one. Those of two bytes are
#: computed with as float; the conversions are without branches, for which compilers have vector instructions.
STORED = {
    "float32": ("float", "{}", "float({})"),
    "float64": ("double", "{}", "double({})"),
    "float16": ("uint16_t", "from_float16({})", "to_float16({})"),
    "bfloat16": ("uint16_t", "from_bfloat16({})", "to_bfloat16({})"),
    "bool": ("unsigned char", "{} != 0", "{} ? 1 : 0"),  # for loops over bool GCC has no vector instructions
}
HALVES = """#include <cstdint>
#include <cstring>
template <class To, class From> static inline To bits(From x) {
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}
"""
CONVERSIONS = {
    "float16": """static inline float from_float16(uint16_t h) {
    const uint32_t rest = (h & 0x7fffu) << 13;
    const uint32_t scaled = bits<uint32_t>(bits<float>(rest) * 0x1p112f);  // subnormal numbers become normal ones
    return bits<float>((h & 0x8000u) << 16 | (rest < 0x0f800000u ? scaled : rest | 0x7f800000u));
}
static inline uint16_t to_float16(float x) {
    const uint32_t all = bits<uint32_t>(x), rest = all & 0x7fffffffu;
    const uint32_t normal = (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1)) >> 13;  // ties to even
    const uint32_t small = bits<uint32_t>(bits<float>(rest) + 0.5f) - 0x3f000000u;
    const uint32_t large = rest > 0x7f800000u ? 0x7e00u : 0x7c00u;
    return uint16_t((all >> 16 & 0x8000u) | (rest >= 0x47800000u ? large : rest < 0x38800000u ? small : normal));
}
""",
    "bfloat16": """static inline float from_bfloat16(uint16_t h) { return bits<float>(uint32_t(h) << 16); }
static inline uint16_t to_bfloat16(float x) {
    const uint32_t all = bits<uint32_t>(x);
    const uint32_t rounded = (all + 0x7fffu + (all >> 16 & 1)) >> 16;  // ties to even
    return uint16_t((all & 0x7fffffffu) > 0x7f800000u ? (all >> 16) | 0x40u : rounded);
}
""",
}

#: functions of float that have a form of our own, in `kernels/cpu/<name>.h`
NEAR = ("erf", "exp", "log1p")


def declaration(function: str) -> str:
    """Of a function of the C library, such as sinf, or the text of one of our own, such as near_expf."""
    if function.startswith("near_"):
        from ..backends.lookup import kernels

        name = function.removeprefix("near_").removesuffix("f")
        return (kernels() / "cpu" / f"{name}.h").read_text(encoding="utf-8")
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


def kernel_source(trace: Trace, results: Sequence[Symbol], name: str, stored: str) -> str:
    """A function `name(arguments..., outputs..., [space,] size, threads, share)` over arrays of the dtype `stored`.

    The outputs are contiguous; `space` says where the elements are of operands that are not, if there are such. What is
    computed from numbers alone is a double and stands before the loop; it becomes a T where it meets elements. `share`
    is the function of threads.cpp, used if there are `threads` to share the loop.
    """
    real = "double" if stored == "float64" else "float"
    suffix = "" if real == "double" else "f"

    def called_as(f: str, number: bool) -> str:
        return f if number or not suffix else f"near_{f}f" if f in NEAR else f + suffix

    before, inside, text = statements(results, called_as)
    parameters: list[tuple[str, str]] = []
    loads: dict[int, str] = {}
    fixed: list[str] = []  # loads that are the same for a row
    moved: list[str] = []
    stores: list[str] = []
    strided = 0
    for a in trace.arguments:
        n, (c_type, read, _) = a.args[0], STORED["bool" if a.boolean else stored]
        if a.op == "number":
            parameters.append(("const double", n))
        elif a.op == "uniform":
            parameters.append((f"const {'bool' if a.boolean else real}", n))
        else:
            parameters.append((f"const {c_type}*", n))
            place = {"column": "0", "strided": f"i * step_{n}"}.get(a.op, "i")
            line = f"const {'bool' if a.boolean else 'T'} v_{n} = {read.format(f'{n}[{place}]')};"
            if a.op == "column":
                fixed.append(line)
            else:
                loads[id(a)] = line
        moved.append(n if a.op in ("number", "uniform") else f"{n} + i" if a.op == "array" else f"{n} + at[{strided}]")
        strided += a.op in STRIDED
    for i, r in enumerate(results):
        c_type, _, write = STORED["bool" if r.boolean else stored]
        parameters.append((f"{c_type}*", f"out{i}"))
        moved.append(f"out{i} + i")
        stores.append(f"out{i}[i] = {write.format(text[id(r)])};")
    signature = ", ".join(f"{kind} {n}" for kind, n in parameters)
    names = ", ".join(n for _, n in parameters)
    row_signature, nth = signature, 0
    for a in trace.arguments:  # the step within a row follows the operands
        if a.op == "strided":
            row_signature += f", ptrdiff_t step_{a.args[0]}"
            moved.append(f"steps[{nth} * (outer + 1)]")
        nth += a.op in STRIDED
    lines = "\n".join([*before, *inside.values()])
    called = sorted(set(re.findall(r"\b(near_[a-z0-9]+|[a-z][a-z0-9]*)\(", lines)) - {"bool", "double"})
    halves = [] if stored not in CONVERSIONS else [HALVES, CONVERSIONS[stored]]
    row = ROW.format(
        name=name,
        parameters=row_signature,
        real=real,
        before="".join(f"    {line}\n" for line in [*fixed, *before]),
        loops=_loops(results, text, inside, loads, stores),
    )
    if strided:
        row += ROWS.format(name=name, parameters=signature, strided=strided, moved=", ".join(moved))
    return KERNEL.format(
        preamble="".join([PREAMBLE, *halves, *map(declaration, called)]),
        row=row,
        name=name,
        parameters=signature,
        space="const ptrdiff_t* space, " if strided else "",
        call=f"{name}_rows({names}, space, begin, end)" if strided else f"{name}_row({names}, begin, end)",
    )


def _loops(
    results: Sequence[Symbol],
    text: dict[int, str],
    inside: dict[int, str],
    loads: dict[int, str],
    stores: Sequence[str],
) -> str:
    """The loop over elements; where functions are applied to each other's values, a loop over blocks of loops."""
    symbols = [s for s in parts(results) if id(s) in inside]
    stage: dict[int, int] = {}
    for s in symbols:
        after = max((stage[id(a)] for a in s.args if id(a) in stage), default=0)
        stage[id(s)] = after + _waits(s)
    stage = {part: max(k, 1) for part, k in stage.items()}
    count = max(stage.values(), default=1)
    if count == 1:
        lines = [*loads.values(), *inside.values(), *stores]
        return LOOP.format(indent=" " * 4, begin="begin", end="end", lines=_indented(lines, 8))
    needed: dict[int, set[int]] = {k: set() for k in range(1, count + 1)}  # by stage, what comes from elsewhere
    for s in symbols:
        needed[stage[id(s)]].update(id(a) for a in s.args)
    needed[count].update(map(id, results))
    kept = [s for s in symbols if any(id(s) in needed[k] for k in range(stage[id(s)] + 1, count + 1))]
    loops = []
    for k in range(1, count + 1):
        lines = [line for which, line in loads.items() if which in needed[k]]
        lines += [
            f"const {_kind(s)} {text[id(s)]} = at_{text[id(s)]}[i - first];"
            for s in kept
            if stage[id(s)] < k and id(s) in needed[k]
        ]
        lines += [inside[id(s)] for s in symbols if stage[id(s)] == k]
        lines += [f"at_{text[id(s)]}[i - first] = {text[id(s)]};" for s in kept if stage[id(s)] == k]
        lines += stores if k == count else ()
        loops.append(LOOP.format(indent=" " * 8, begin="first", end="last", lines=_indented(lines, 12)))
    memory = "; ".join(f"{'unsigned char' if s.boolean else 'T'} at_{text[id(s)]}[{BLOCK}]" for s in kept)
    return BLOCKS.format(kept=memory, block=BLOCK, loops="".join(loops))


def _waits(s: Symbol) -> bool:
    """Whether a part of an expression is a function of many instructions."""
    called = re.search(r"\bm\((\w+)\)", BASIC[s.op])
    return called is not None and called[1] not in ("fabs", "sqrt", "floor", "ceil", "trunc", "nearbyint", "copysign")


def _indented(lines: Sequence[str], spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in lines)


def _kind(s: Symbol) -> str:
    return "bool" if s.boolean else "double" if s.number else "T"


def _function_of(function: Callable[[str, bool], str], number: bool, found: re.Match) -> str:
    return function(found[1], number)


def statements(
    results: Sequence[Symbol], function: Callable[[str, bool], str]
) -> tuple[list[str], dict[int, str], dict[int, str]]:
    """C++ for the parts of an expression: what stands before a loop, what within, and how each part is called there.

    The last two are by the identity of the part.

    `function(name, number)` is the C library's function for elements, which are of the type T, or for numbers.
    """
    text: dict[int, str] = {}
    before: list[str] = []
    inside: dict[int, str] = {}
    for s in parts(results):
        if s.op in ARGUMENTS:
            text[id(s)] = s.args[0] if s.op in ("uniform", "number") else f"v_{s.args[0]}"
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
            value = re.sub(r"\bm\((\w+)\)", functools.partial(_function_of, function, s.number), value)
            text[id(s)] = f"t{len(before) + len(inside)}"
            line = f"const {_kind(s)} {text[id(s)]} = {value};"
            if s.number:
                before.append(line)
            else:
                inside[id(s)] = line
    return before, inside, text
