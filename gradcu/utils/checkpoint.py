"""`gradcu.utils.checkpoint`: keep a part's inputs alone, and compute the part again when backward needs what it saved.

Method: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .. import autograd, backends
from ..autograd.graph import saved_tensors_hooks
from ..devices import cpu
from ..graph.anomaly import user_frame
from ..graph.modes import enable_grad, no_grad, state
from ..ops.intercept import Interceptor, op_name
from ..random import fork_rng, generator_of
from ..tensor import Tensor, from_array
from ._selective import CheckpointPolicy, SelectiveCheckpointContext, create_selective_checkpoint_contexts

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "CheckpointPolicy",
    "SelectiveCheckpointContext",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

_early_stop: bool | None = None  # what `set_checkpoint_early_stop` says, if anything
_debug: bool | None = None


class CheckpointError(RuntimeError):
    """The part did something else when it was computed again."""


class _Enough(BaseException):
    """Raised inside of the part once all that backward needs has been computed again."""


def noop_context_fn() -> tuple[Any, Any]:
    """The default of `context_fn`: two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """A block that says for all checkpoints in it whether computing again stops once all has been found."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """A block that says for all checkpoints in it whether errors show what ran both times; None: as each says."""
    global _debug
    before, _debug = _debug, enabled
    try:
        yield
    finally:
        _debug = before


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, whose saved tensors are not kept but computed again in backward.

    use_reentrant: True: forward runs unrecorded and backward runs a backward of its own, with the limits of that
        (tensors in `args` only, no `autograd.grad`). False: the graph is made as usual, without the saved tensors.
    context_fn: gives a context for forward and one for computing again.
    determinism_check: "default": compare shape, dtype and device of what is computed again; "none".
    debug: errors show which operations ran the first and the second time.
    early_stop: stop computing again once all has been found.
    preserve_rng_state: draw the same random numbers again.

    Raises CheckpointError if another number of tensors, or others, are saved the second time, ValueError for unknown
    arguments.

    >>> y = checkpoint(lambda x: x.sin().exp(), x, use_reentrant=False)
    """
    if use_reentrant is None:
        _say_explicitly(
            "checkpoint", "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an exception."
        )
        use_reentrant = True
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve_rng_state, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    if not state.grad:
        return function(*args, **kwargs)
    forward_context, again_context = context_fn()
    part = _Part(
        function,
        args,
        kwargs,
        _RandomState(args) if preserve_rng_state else None,
        again_context,
        determinism_check == "default",
        early_stop if _early_stop is None else _early_stop,
        debug if _debug is None else _debug,
    )
    with saved_tensors_hooks(part.pack, part.unpack), part.first, forward_context:
        result = function(*args, **kwargs)
    part.complete = True
    return result


def _say_explicitly(name: str, then: str) -> None:
    warnings.warn(
        f"torch.utils.checkpoint.{name}: the use_reentrant parameter should be passed explicitly. {then} "
        "use_reentrant=False is recommended; pass use_reentrant=True to preserve the current default behavior.",
        stacklevel=3,
    )


class _RandomState:
    """The states of the generators of the CPU and of the arguments' devices, as they are now."""

    def __init__(self, args: Iterable[Any]) -> None:
        used = {a.device for a in args if isinstance(a, Tensor)}
        self.states = [(g, g.get_state()) for g in map(generator_of, used | {cpu})]

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """A block that starts from the states kept, and leaves the generators as they were before it."""
        with fork_rng():
            for generator, kept in self.states:
                generator.set_state(kept)
            yield


class _Log(Interceptor):
    """The operations that ran in a block, and the lines that called them."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def operation(self, op: Any, inputs: Any, attributes: tuple, run: Callable[[], Any]) -> Any:
        frame = user_frame()
        shapes = ", ".join(str(list(t.shape)) for t in inputs if isinstance(t, Tensor))
        self.lines.append(f"  {op_name(op)}({shapes}), at {frame.f_code.co_filename}:{frame.f_lineno}")
        return run()

    def __enter__(self) -> None:
        self.lines.clear()
        self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __str__(self) -> str:
        return "\n".join(self.lines)


class _Place:
    """Stands for a saved tensor in the graph; `like` describes it."""

    __slots__ = ("__weakref__", "like")

    def __init__(self, like: dict[str, Any]) -> None:
        self.like = like


def _describe(t: Tensor) -> dict[str, Any]:
    return {"shape": t.shape, "dtype": t.dtype, "device": t.device}


class _Inputs(autograd.Function):
    """Keeps a part's tensors as any operation would: within a checkpointed part they are computed again themselves."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return from_array(backends.host.zeros(()))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise AssertionError("nothing depends on this")


class _Part:
    """One checkpointed call."""

    def __init__(
        self,
        function: Callable,
        args: tuple,
        kwargs: dict[str, Any],
        random: _RandomState | None,
        context: Any,
        check: bool,
        early_stop: bool,
        debug: bool,
    ) -> None:
        self.function, self.random, self.context = function, random, context
        self.check, self.early_stop = check, early_stop
        self.debug = debug
        self.complete = False  # whether forward has ended: a backward inside of it needs what was saved until then
        self.first: Any = _Log() if debug else contextlib.nullcontext()
        self.second: Any = _Log() if debug else contextlib.nullcontext()
        self.places: list[weakref.ref[_Place]] = []  # in the order in which they were saved
        # by walk (or by unpacking, outside of one): what has been computed again and is still to be used
        self.found: weakref.WeakKeyDictionary[Any, dict[int, Tensor]] = weakref.WeakKeyDictionary()
        names, values = tuple(kwargs), (*args, *kwargs.values())
        self.names, self.count = names, len(args)
        self.values = [None if isinstance(v, Tensor) else v for v in values]
        self.tensors = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
        kept = [values[i] for i in self.tensors]
        self.flags = [t.requires_grad for t in kept]
        self.keeper: Any = None
        if any(self.flags):
            self.keeper = _Inputs.apply(*kept).grad_fn
        else:
            for i, t in zip(self.tensors, kept, strict=True):
                self.values[i] = t

    def pack(self, t: Tensor) -> tuple[_Place, int]:
        place = _Place(_describe(t))
        self.places.append(weakref.ref(place))
        return place, len(self.places) - 1

    def unpack(self, packed: tuple[_Place, int]) -> Tensor:
        _, index = packed
        walk = state.walk
        found = None if walk is None else self.found.get(walk)
        if found is None or index not in found:
            try:
                found = self.compute()
            except CheckpointError as error:
                raise CheckpointError(f"{error}{self.more()}") from None
            if walk is not None:
                self.found[walk] = found
        return found.pop(index)

    def more(self) -> str:
        """What ran the first and the second time, or how to be shown that."""
        if not self.debug:
            return (
                "\n\nTip: To see a more detailed error message, either pass `debug=True` to checkpoint(...) or wrap "
                "the code in `with set_checkpoint_debug_enabled(True):`."
            )
        return f"\n\nThe original forward ran:\n{self.first}\nThe recomputation ran:\n{self.second}"

    def compute(self) -> dict[int, Tensor]:
        """Run the part again, and return what it saves."""
        values = list(self.values)
        if self.keeper is not None:
            for i, t, flag in zip(self.tensors, self.keeper.saved_tensors, self.flags, strict=True):
                values[i] = t.detach().requires_grad_(flag)
        found: dict[int, Tensor] = {}
        saved = 0
        total = len(self.places)
        early_stop = self.early_stop or not self.complete

        def pack(t: Tensor) -> Tensor:
            nonlocal saved
            if saved >= total:
                saved += 1
                if early_stop:
                    raise _Enough
                raise CheckpointError(
                    "torch.utils.checkpoint: trying to save more tensors during recomputation than during the original "
                    "forward pass."
                )
            if self.places[saved]() is not None:
                found[saved] = t.detach()
            saved += 1
            if early_stop and saved == total:
                raise _Enough
            return t.detach()  # for a backward inside of the part

        args, kwargs = values[: self.count], dict(zip(self.names, values[self.count :], strict=True))
        random = contextlib.nullcontext() if self.random is None else self.random.again()
        hooks = saved_tensors_hooks(pack, lambda t: t)
        with contextlib.suppress(_Enough), enable_grad(), random, hooks, self.second, self.context:
            self.function(*args, **kwargs)
        if saved != total:
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {total}\n"
                f"Number of tensors saved during recomputation: {saved}."
            )
        if self.check:
            self.compare(found)
        return found

    def compare(self, found: dict[int, Tensor]) -> None:
        different = []
        for i, t in found.items():
            place = self.places[i]()
            if place is not None and place.like != _describe(t):
                different.append(
                    f"tensor at position {i}:\nsaved metadata: {place.like}\nrecomputed metadata: {_describe(t)}"
                )
        if different:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than "
                "during the forward pass.\n" + "\n".join(different)
            )


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors among `inputs` outside of their graph, requiring grad as before."""
    return tuple(t.detach().requires_grad_(t.requires_grad) if isinstance(t, Tensor) else t for t in inputs)


class CheckpointFunction(autograd.Function):
    """The reentrant form: an operation whose backward computes the part again, recorded, and runs backward on it."""

    @staticmethod
    def forward(ctx: Any, function: Callable, preserve_rng_state: bool, *args: Any) -> Any:
        """Run the part, unrecorded."""
        if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=4)
        ctx.function = function
        ctx.random = _RandomState(args) if preserve_rng_state else None
        ctx.others = [None if isinstance(a, Tensor) else a for a in args]
        ctx.tensors = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*(args[i] for i in ctx.tensors))
        with no_grad():
            return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Run the part again, and a backward of it."""
        if state.walk is None or state.walk.captures is not None:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` "
                "parameter to .backward(). To resolve this error, you can either set use_reentrant=False, or call "
                ".backward() without passing the `inputs` argument."
            )
        args = list(ctx.others)
        for i, t in zip(ctx.tensors, ctx.saved_tensors, strict=True):
            args[i] = t
        args = list(detach_variable(tuple(args)))
        with enable_grad(), contextlib.nullcontext() if ctx.random is None else ctx.random.again():
            outputs = ctx.function(*args)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        wanted = [(o, g) for o, g in zip(outputs, grads, strict=True) if isinstance(o, Tensor) and o.requires_grad]
        if not wanted:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        autograd.backward([o for o, _ in wanted], [g for _, g in wanted])
        return (None, None, *(a.grad if isinstance(a, Tensor) else None for a in args))


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Run a `Sequential`, or a sequence of functions, in `segments` parts of which all but the last are checkpointed.

    >>> y = checkpoint_sequential(model, 3, x, use_reentrant=False)
    """
    if use_reentrant is None:
        _say_explicitly(
            "checkpoint_sequential", "In version 2.9 we will raise an exception if use_reentrant is not passed."
        )
        use_reentrant = True
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    parts: Sequence[Callable] = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def run(start: int, end: int) -> Callable:
        def forward(x: Any) -> Any:
            for part in parts[start:end]:
                x = part(x)
            return x

        return forward

    length = len(parts) // segments
    start = 0
    for _ in range(segments - 1):
        input = checkpoint(
            run(start, start + length), input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state
        )
        start += length
    return run(start, len(parts))(input)
