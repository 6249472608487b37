"""Expressions by NumPy, block by block: what does the work of compiled kernels where nothing can be compiled.

NumPy's functions write to scratch memory that is small enough to stay in the cache, so that a formula reads its
operands and writes its results once, as a kernel does.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .evaluate import of_numbers
from .symbols import ARGUMENTS, Symbol, parts

BLOCK = 65_536  # elements: NumPy's calls take less time than their work
#: elements of a block, and of a thread at least, where threads have to pass on the interpreter's lock
SHARED = 2 * BLOCK
LEAST = 2 * BLOCK  # elements, and steps of a formula, below which NumPy does as well call by call
LEAST_STEPS = 3
#: basic functions that NumPy has not, whose formulas are traced in their place
LACKING = frozenset({"erf", "erfc"})


def _where(condition: Any, x: Any, y: Any, out: Any) -> None:
    """x or y, of floating numbers by their bits, which takes a tenth of the time of a masked copy."""
    if not np.count_nonzero(condition):  # as for limits that are there for rare values
        np.copyto(out, y)
        return
    if out.dtype == bool or x.dtype != out.dtype or y.dtype != out.dtype:
        np.copyto(out, y)
        np.copyto(out, x, where=condition)
        return
    integer = f"i{out.itemsize}"
    bits, y_bits = out.view(integer), y.view(integer)
    np.bitwise_xor(x.view(integer), y_bits, out=bits)
    np.bitwise_and(bits, -condition.view(np.int8), out=bits)
    np.bitwise_xor(bits, y_bits, out=bits)


class Program:
    """An expression as two Python functions, of which the text is written here.

    `before(numbers...)` computes what depends on numbers alone, and `block(arguments..., those..., outputs...,
    scratch...)` the rest. Scratch arrays of floating numbers are called s0, s1, ..., those of truth values m0, m1, ...;
    one is used again as soon as nothing more will read what it holds.
    """

    def __init__(self, arguments: Sequence[Symbol], results: Sequence[Symbol], in_place: bool) -> None:
        """`in_place`: whether results can be computed in the outputs, or are of another dtype."""
        self.scratch = {"s": 0, "m": 0}
        self._free: dict[str, list[str]] = {"s": [], "m": []}
        ordered = parts(results)
        last = {id(a): i for i, s in enumerate(ordered) for a in s.args if isinstance(a, Symbol)}
        last |= {id(r): len(ordered) for r in results}
        target = {
            id(r): f"out{i}"
            for i, r in enumerate(results)
            if r.op not in ARGUMENTS and not r.number and (in_place or r.boolean)
        }
        text: dict[int, str] = {}
        numbers, lines, before = [], [], []
        scope: dict[str, Any] = {"of_numbers": of_numbers, "copyto": np.copyto}
        for i, s in enumerate(ordered):
            if s.op in ARGUMENTS:
                text[id(s)] = s.args[0]
                continue
            if s.number:
                name = text[id(s)] = f"n{i}"
                numbers.append(name)
                what = f"of_numbers({s.op!r}, {', '.join(text[id(a)] for a in s.args if isinstance(a, Symbol))})"
                before.append(f"{name} = {f'float({str(s.args[1])!r})' if s.op == 'constant' else what}")
                continue
            operands = [text[id(a)] for a in s.args]
            done = sorted({text[id(a)] for a in s.args if last[id(a)] == i and text[id(a)][0] in self._free})
            kind = "m" if s.boolean else "s"
            out = target.get(id(s))
            if out is None:
                # `where` reads its operands after it has begun to write
                again = [n for n in done if n[0] == kind] if s.op != "where" else []
                out = again[0] if again else self._take(kind)
            for n in done:
                if n != out:
                    self._free[n[0]].append(n)
            text[id(s)] = out
            lines.append(f"{s.op}({', '.join(operands)}, out={out})")
            scope[s.op] = _where if s.op == "where" else getattr(np, s.op)
        outs = [f"out{i}" for i in range(len(results))]
        lines += [f"copyto({o}, {text[id(r)]}, casting='unsafe')" for o, r in zip(outs, results) if text[id(r)] != o]
        scratch = [f"{kind}{i}" for kind, count in self.scratch.items() for i in range(count)]
        given = [a.args[0] for a in arguments if a.op == "number"]
        arrays = [a.args[0] for a in arguments if a.op != "number"]
        self.text = (
            f"def before({', '.join(given)}):\n    "
            + "\n    ".join([*before, f"return [{', '.join([*given, *numbers])}]"])
            + f"\n\ndef block({', '.join([*arrays, *given, *numbers, *outs, *scratch])}):\n    "
            + "\n    ".join(lines)
        )
        exec(compile(self.text, "<gradcu blocks>", "exec"), scope)
        self.before: Callable = scope["before"]
        self.block: Callable = scope["block"]

    def _take(self, kind: str) -> str:
        if self._free[kind]:
            return self._free[kind].pop()
        self.scratch[kind] += 1
        return f"{kind}{self.scratch[kind] - 1}"


def _tiles(lengths: Sequence[int], size: int, threads: int) -> tuple[tuple[int, ...], Iterator[tuple]]:
    """The shape of the largest block of an array, of `size` elements at most, and the indices of all blocks.

    Blocks of whole rows of the first dimension are about as many for each thread.
    """
    k, inner = len(lengths), 1
    while k > 1 and inner * lengths[k - 1] <= size:
        k -= 1
        inner *= lengths[k]
    k -= 1  # the dimension that is cut
    count = math.ceil(lengths[k] / max(1, size // inner))
    if k == 0:
        count = math.ceil(count / threads) * threads
    rows = math.ceil(lengths[k] / count)
    cuts = [slice(b, b + rows) for b in range(0, lengths[k], rows)]
    return (rows, *lengths[k + 1 :]), itertools.product(*map(range, lengths[:k]), cuts)


_pool: list[ThreadPoolExecutor] = []  # one, from when it is first needed
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)  # a child has none of its parent's threads


def share(work: Callable[[Sequence[Any]], None], pieces: Sequence[Any], threads: int) -> None:
    """`work(pieces)`, with the pieces dealt out to threads."""
    if threads > 1 and not _pool:
        _pool.append(ThreadPoolExecutor(thread_name_prefix="gradcu"))
    others = [_pool[0].submit(work, pieces[i::threads]) for i in range(1, threads)]
    work(pieces[::threads])
    for other in others:
        other.result()


def caller(
    arguments: Sequence[Symbol],
    results: Sequence[Symbol],
    dtype: Any,
    kinds: Sequence[Any],
    own: Sequence[Any],
    threads: Callable[[], int],
) -> Callable:
    """The Python function of an expression, as `backends.compiler.caller` has it; `threads()` may share the work."""
    real = np.dtype(np.float32) if dtype.itemsize == 2 else dtype
    program = Program(arguments, results, dtype is real)
    taken = [(i, k) for i, k in enumerate(kinds) if type(k) is str and k.partition(" ")[0] in ARGUMENTS]
    made = [r for r in own if type(r) is not int]

    def function(values: Sequence[Any], example: Any, space: Any = None, into: Any = None) -> list[Any] | None:
        if (example.size if space is None else space.size) < LEAST:
            return None
        if space is None:
            order: Any = "C" if example.flags.c_contiguous else "F"
            lengths: Sequence[int] = (example.size,)
            outs = [into] if into is not None else [np.empty(example.shape, d, order) for d in made]
            targets = [o.reshape(-1, order=order) for o in outs]
        else:
            lengths, outs = space.lengths, [space.empty(d) for d in made]
            targets = [o.transpose(space.order).reshape(lengths) for o in outs]
        operands, numbers, place = [], [], 0
        for i, kind in taken:
            if kind == "number":
                numbers.append(values[i])
                continue
            v = values[i]
            if kind.startswith("uniform"):
                operands.append(np.asarray(v[(0,) * v.ndim], bool if v.dtype == bool else real))
            elif space is None:
                operands.append(v.reshape(-1, order=order))
            else:
                operands.append(np.lib.stride_tricks.as_strided(v, lengths, space.strides[place]))
            place += 1
        whole = [o.ndim > 0 for o in operands]
        narrow = [o.ndim > 0 and o.dtype != real and o.dtype != bool for o in operands]
        with np.errstate(all="ignore"):
            fixed = [np.asarray(n, bool if type(n) is bool else real) for n in program.before(*numbers)]
        count = max(1, min(threads(), math.prod(lengths) // SHARED))
        shape, tiles = _tiles(lengths, SHARED if count > 1 else BLOCK, count)

        def work(tiles: Sequence[tuple]) -> None:
            scratch = [np.empty(shape, real) for _ in range(program.scratch["s"])]
            scratch += [np.empty(shape, bool) for _ in range(program.scratch["m"])]
            wide = [np.empty(shape, real) if n else None for n in narrow]
            with np.errstate(all="ignore"):
                for at in tiles:
                    outs = [t[at] for t in targets]
                    n = len(outs[0])
                    here = [o[at] if w else o for o, w in zip(operands, whole)]
                    for j, w in enumerate(wide):
                        if w is not None:
                            w = w[:n]
                            np.copyto(w, here[j])
                            here[j] = w
                    program.block(*here, *fixed, *outs, *(scratch if n == shape[0] else [s[:n] for s in scratch]))

        share(work, list(tiles), count)
        if len(made) == len(own):
            return outs
        rest = iter(outs)
        full = [next(rest) if type(r) is not int else values[r] for r in own]
        return full if space is None else [r.reshape(space.shape) for r in full]

    return function
