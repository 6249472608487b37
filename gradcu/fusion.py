"""Operations of the user's own: `fuse` makes one of a Python function of tensors, `elementwise` of a formula.

Both are computed by one kernel forward and one backward, on the CPU and on CUDA devices. Nobody writes down a
derivative: the function is run on tensors around symbols (`backends.traced`), which leaves its expression behind, and a
backward through the graph of that run leaves those of the gradients.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import dtypes
from .autograd import enable_grad, grad
from .autograd.forward import tangent_of
from .backends import host, native
from .expr import ARGUMENTS, NotPointwise, Trace
from .expr.cuda import elementwise_source
from .expr.evaluate import evaluate
from .expr.symbols import BASIC, parts
from .graph.engine import walk
from .graph.modes import state
from .graph.op import Primitive, registry
from .graph.recorded import namespace as recorded
from .ops.pointwise import Elementwise
from .tensor import Tensor, edge_of, from_array

__all__ = ["Pointwise", "elementwise", "fuse"]

_PACKAGE = str(Path(__file__).parent)
_OWN_NAMES = {"xp", "g", "out", "rest", "needs"}  # what parameters of formulas mean already


class _Expression:
    """What a run of a function on symbols leaves behind: its result, and the gradient of each input."""

    def __init__(self, function: Callable, kinds: Sequence[str], dtype: Any) -> None:
        trace = Trace(dtype)
        self.arguments = [trace.argument(kind, f"a{i}") for i, kind in enumerate(kinds)]
        tensors = [from_array(a, None, not (a.number or a.boolean)) for a in self.arguments]
        with enable_grad():
            out = function(*tensors)
        if not isinstance(out, Tensor):
            raise NotPointwise(f"it returns {type(out).__name__}, not one tensor")
        self.result = trace.symbol(out._array)
        if self.result.number and self.result.boolean:
            raise NotPointwise("its result is the same for all elements")
        if self.result.op in ARGUMENTS:  # whose memory the result must not share
            self.result = trace.make("multiply", self.result, 1.0)
        self.gradients: list[Any] = [None] * len(tensors)
        edge = edge_of(out)
        if edge is not None and not self.result.boolean:
            g = trace.argument("array", "g")
            inputs = [i for i, t in enumerate(tensors) if t.requires_grad]
            made = walk([edge], [g], retain=False, create=False, captures=[tensors[i] for i in inputs])
            for i, gradient in zip(inputs, made, strict=True):
                self.gradients[i] = None if gradient is None else trace.symbol(gradient)
            self.arguments.append(g)


class _Fused(Elementwise):
    """The operation that a function is for one kind of arguments: tensors, masks and numbers."""

    def __init__(
        self,
        name: str,
        function: Callable,
        parameters: Mapping[str, Any],
        kinds: Sequence[str],
        vjps: Sequence[Callable | None] | None = None,
        listed: bool = False,
    ) -> None:
        """`function(*tensors, *numbers)`; numbers are 0-d tensors where it is run on symbols.

        `parameters` has the default of each; the gradients are derived unless formulas are given.
        """
        self.function, self.argument_kinds = function, kinds
        self.masks = [kind == "array bool" for kind in kinds]
        self._expressions: dict[Any, _Expression] = {}
        first = self.expression(dtypes.float32.numpy)
        names, count = ", ".join(parameters), sum(kind != "number" for kind in kinds)
        signature = [n if kind != "number" else f"{n}=default['{n}']" for n, kind in zip(parameters, kinds)]
        scope = {"forward": self._forward, "vjp": self._vjp, "default": parameters}
        forward = eval(f"lambda xp, {', '.join(signature)}: forward(xp, {names})", scope)
        derived = vjps is None
        if vjps is None:
            vjps = [
                None if gradient is None else eval(f"lambda xp, g, {names}: vjp({i}, xp, g, {names})", scope)
                for i, gradient in enumerate(first.gradients[:count])
            ]
        super().__init__(
            name,
            forward,
            *(vjps if any(vjps) else ()),
            operands=count,
            result="bool" if first.result.boolean else "same",
            kinds="f",
            node=_node_name(name),
            listed=listed,
        )
        self.with_slope = None
        if derived and count == 1 and self.vjp is not None:
            trace = Trace(dtypes.float32.numpy)
            arguments = [trace.argument(kind, f"a{i}") for i, kind in enumerate(kinds)]
            slope = trace.symbol(self.with_derivative(trace, *arguments)[1])
            if not slope.number and slope.op not in ARGUMENTS:
                chooses = any(s.op == "where" for s in parts([slope]))
                self.with_slope = _WithSlope(self, chooses, signature)

    def record(self, inputs: Any, attributes: tuple = ()) -> Any:
        """As any primitive's; of one large array that is to be differentiated the slope is computed with the result."""
        if self.with_slope is not None and state.grad and inputs[0].requires_grad:
            x = inputs[0]._array
            large = type(x) is host.ndarray and x.itemsize > 2 and x.size >= native.SMALL
            if large and tangent_of(inputs[0]) is None:
                return self.with_slope.record(inputs, attributes)[0]
        return super().record(inputs, attributes)

    def expression(self, dtype: Any) -> _Expression:
        """The expressions for a raw dtype; those of two bytes are computed in float32."""
        wide = dtypes.float64.numpy if dtype.itemsize == 8 else dtypes.float32.numpy
        if wide not in self._expressions:
            self._expressions[wide] = _Expression(self.function, self.argument_kinds, wide)
        return self._expressions[wide]

    def with_derivative(self, xp: Any, x: Any, *numbers: Any) -> list[Any]:
        """Of an operation of one tensor the result, and its derivative: the gradient that 1 gives."""
        expression = self.expression(x.dtype)
        values = dict(zip(expression.arguments, [x, *numbers, 1.0], strict=True))
        return [evaluate(made, values, xp) for made in (expression.result, expression.gradients[0])]

    def _forward(self, xp: Any, *args: Any) -> Any:
        example = next(a for a, mask in zip(args, self.masks) if not mask)
        expression = self.expression(example.dtype)
        out = evaluate(expression.result, dict(zip(expression.arguments, args)), xp)
        return xp.zeros_like(example) + out if type(out) in (float, int, bool) else out

    def _vjp(self, i: int, xp: Any, g: Any, *args: Any) -> Any:
        if xp is recorded:
            return self._recorded(i, g, args)
        expression = self.expression(g.dtype)
        out = evaluate(expression.gradients[i], dict(zip(expression.arguments, [*args, g])), xp)
        return xp.zeros_like(g) + out if type(out) in (float, int, bool) else out

    def _recorded(self, i: int, g: Tensor, args: Sequence[Any]) -> Tensor:
        """The gradient with a graph of its own, as the function's own operations record it."""
        with enable_grad():
            x = args[i].expand(g.shape).clone()  # not the other inputs, if they are the same
            if not x.requires_grad:  # it has a tangent alone
                x.requires_grad_()
            out = self.function(*args[:i], x, *args[i + 1 :])
            return grad(out, x, g, create_graph=True, materialize_grads=True)[0]

    def prepare(self, args: Any) -> Any:
        """The operands in one dtype; masks stay what they are."""
        others = iter(super().prepare([a for a, mask in zip(args, self.masks) if not mask]))
        return [a if mask else next(others) for a, mask in zip(args, self.masks)]


class _WithSlope(Primitive):
    """An operation of one tensor whose derivative is a second result: backward is a product with it, and a chain of
    functions is computed once, not again in backward.
    """

    def __init__(self, op: _Fused, chooses: bool, signature: Sequence[str]) -> None:
        """`chooses`: where the derivative is 0 so is the gradient, though an infinity be multiplied by it."""

        def times(xp: Any, g: Any, slope: Any) -> Any:
            return xp.where(slope == 0, 0.0, g * slope) if chooses else g * slope

        def forward(xp: Any, *args: Any) -> Any:
            results = self.kernel(*args) if xp is host else None
            return op.with_derivative(xp, *args) if results is None else results

        def vjp(xp: Any, g: Any, rest: Any, *args: Any) -> Any:
            if xp is recorded:
                return op._recorded(0, g, args)
            results = product(g, rest[0]) if xp is host else None
            return times(xp, g, rest[0]) if results is None else results[0]

        self.kernel = native.Kernel(op.with_derivative)
        product = native.Kernel(lambda xp, g, slope: [times(xp, g, slope)], least=1)
        names = ", ".join(n.partition("=")[0] for n in signature)
        scope = {"forward": forward, "vjp": vjp, "default": op._defaults}
        super().__init__(
            op.name,
            eval(f"lambda xp, {', '.join(signature)}: forward(xp, {names})", scope),
            {op.inputs[0]: eval(f"lambda xp, g, rest, {names}: vjp(xp, g, rest, {names})", scope)},
            node=op.node_names[0],
            outputs=2,
            differentiable=(0,),
            listed=False,
        )


class Pointwise:
    """A pointwise function, made by `fuse` or `elementwise`, that runs as one kernel forward and one backward."""

    __name__: str
    __qualname__: str

    def __init__(self, function: Callable, name: str, parameters: Sequence[inspect.Parameter], **more: Any) -> None:
        self._function, self._name, self._more = function, name, more
        variable = [p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if variable or not parameters:
            raise TypeError(f"{name}: a pointwise function has named parameters, at least one, and no * or **")
        self.__signature__ = inspect.Signature(parameters)
        self._names = [p.name + "_" * (p.name in _OWN_NAMES) for p in parameters]
        self._operations: dict[tuple, _Fused] = {}

    def __reduce__(self) -> str:
        """As functions are: copied as they are, pickled by name."""
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<pointwise {self._name}{self.__signature__}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """The function of tensors; numbers may be among them, and other settings."""
        if kwargs or len(args) != len(self._names):
            bound = self.__signature__.bind(*args, **kwargs)
            bound.apply_defaults()
            args = tuple(bound.arguments.values())
        kinds = tuple(map(_kind, args))
        if "array" not in kinds or None in kinds:  # integers, complex numbers: as they come
            return self._function(*args)
        try:
            hash(kinds)
        except TypeError:  # a setting such as a list
            return self._function(*args)
        operation = self._operation(kinds, args)
        if operation is None:
            return self._function(*args)
        tensors = [a for a, kind in zip(args, kinds) if kind in ("array", "array bool")]
        numbers = [a for a, kind in zip(args, kinds) if kind == "number"] if operation.attributes else ()
        return operation.apply(tensors, tuple(numbers))

    def _operation(self, kinds: tuple, args: Sequence[Any]) -> _Fused | None:
        """The operation for a kind of arguments; None if they have been of too many kinds."""
        found = self._operations.get(kinds)
        if found is not None:
            return found
        values = tuple(a for a, kind in zip(args, kinds) if kind == "number")
        found = self._operations.get((kinds, values))
        if found is None and len(self._operations) < native.VARIANTS:
            try:
                found = self._operations[kinds] = self._made(kinds, args)
            except NotPointwise:
                if not values:
                    raise
                fixed = tuple(("is", a) if kind == "number" else kind for a, kind in zip(args, kinds))
                found = self._operations[kinds, values] = self._made(fixed, args)  # it may branch on a number
        return found

    def _made(self, kinds: tuple, args: Sequence[Any]) -> _Fused:
        """The operation. Raises NotPointwise, with the line at fault, if the function is not pointwise."""
        order = sorted((i for i, kind in enumerate(kinds) if type(kind) is str), key=lambda i: kinds[i] == "number")
        settings = [None if type(kind) is str else a for a, kind in zip(args, kinds)]  # no tensor is kept alive

        def function(*given: Any) -> Any:
            every = list(settings)
            for i, value in zip(order, given, strict=True):
                every[i] = value
            return self._function(*every)

        parameters = {self._names[i]: args[i] if kinds[i] == "number" else None for i in order}
        used = [kinds[i] for i in order]
        try:
            name = self._name if self._more.get("listed") else f"fuse.{self._name}"  # which no declared one has
            return _Fused(name, function, parameters, used, **self._more)
        except Exception as error:
            where = _line(error)
            if where is None:  # an error of the user's own
                raise
            raise NotPointwise(f"{self._name} is not pointwise: {error}{where}") from error

    def source(self, device: str = "cpu", dtype: dtypes.dtype = dtypes.float32) -> str:
        """The text of the kernels, forward and backward: C++, or CUDA C++ for `device="cuda"`.

        It is that for tensors in place of the parameters that have no default, and with all gradients. A function of
        one tensor has a third kernel on the CPU, for large tensors that require grad: the result and the derivative, by
        which backward multiplies. Raises NotPointwise if the function is not pointwise.

        >>> print(swish.source("cuda"))
        """
        if device not in ("cpu", "cuda"):
            raise ValueError(f"source(): the device is 'cpu' or 'cuda', not {device!r}")
        parameters = self.__signature__.parameters.values()
        args = tuple(0.0 if p.default is p.empty else p.default for p in parameters)
        kinds = tuple("array" if p.default is p.empty else _kind(p.default) for p in parameters)
        operation = self._operation(kinds, args)
        if operation is None:
            raise RuntimeError(f"{self._name} has been called with settings of too many kinds")
        values = [None] * len(operation.inputs) + [a for a, k in zip(args, kinds) if k == "number"]
        names = [*operation.inputs, *operation.attributes]
        texts = [_text(self._name, operation.forward, names, operation, values, device, dtype)]
        if isinstance(operation.vjp, dict):
            formulas = [f for f in operation.vjp.values() if f is not None]
            backward = functools.partial(_several, formulas)
            texts.append(
                _text(f"{self._name}_backward", backward, ["g", *names], operation, [None, *values], device, dtype)
            )
        if device == "cpu" and operation.with_slope is not None and dtype.itemsize > 2:
            named = f"{self._name}_with_derivative"
            texts.append(_text(named, operation.with_derivative, names, operation, values, device, dtype))
        return "\n".join(texts)


def _several(formulas: Sequence[Callable], xp: Any, *args: Any) -> list[Any]:
    return [f(xp, *args) for f in formulas]


def _text(
    name: str, formula: Callable, names: Sequence[str], op: _Fused, values: Sequence[Any], device: str, dtype: Any
) -> str:
    """The source of one kernel, and which argument is what."""
    kinds = ["array"] * (len(names) - len(op.argument_kinds)) + list(op.argument_kinds)

    def results(xp: Any, *args: Any) -> list[Any]:
        made = formula(xp, *args)
        return made if isinstance(made, list) else [made]

    told = ", ".join(f"a{i} is {n}" for i, n in enumerate(names))
    kernel = native.Kernel(results)
    short = "".join(c if c.isalnum() else "_" for c in name)
    if device == "cpu":
        written = kernel.source(dtype.numpy, kinds, values, short)
        assert written is not None  # it has been traced before
        return f"// {name}: {told}\n{written[0]}"
    trace, expressions, _ = kernel.trace(dtype.numpy, kinds, values)
    takes, gives, operation = elementwise_source(trace, expressions)
    return f"// {name}: {told}\n// {takes} -> {gives}\n{operation}\n"


def _kind(value: Any) -> Any:
    """What an argument is: "array", "array bool", "number", or a setting; None for a tensor of another dtype."""
    if isinstance(value, Tensor):
        return "array" if value.is_floating_point() else "array bool" if value.dtype is dtypes.bool else None
    return "number" if type(value) in (float, int) else ("is", value)


def _node_name(name: str) -> str:
    return (
        "".join(part[:1].upper() + part[1:] for part in re.findall("[a-zA-Z0-9]+", name.rpartition(".")[2]))
        + "Backward0"
    )


def _line(error: BaseException) -> str | None:
    """Where in the user's code a call failed; None if the user's code itself raised the error."""
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [(f, line) for f, line in frames if not f.f_code.co_filename.startswith((_PACKAGE, "<gradcu"))]
    if own and own[-1][0] is frames[-1][0]:
        return None
    if not own:
        return ""
    frame, number = own[-1]
    text = linecache.getline(frame.f_code.co_filename, number).strip()
    return f" (line {number} of {frame.f_code.co_filename}: {text})"


def fuse(function: Callable) -> Pointwise:
    """Make one operation of a pointwise Python function of tensors. May be used as a decorator.

    The function may use whatever gradcu has for single elements (operators, `exp`, `where`, `nn.functional.gelu`, ...),
    Python's numbers, and settings on which it branches. Its parameters are tensors, which broadcast, floating numbers,
    or settings. The operation runs as one kernel forward and one backward on large arrays of the CPU and on CUDA
    devices. It can be differentiated any number of times, and in forward mode. A new number needs no new kernel, unless
    the function branches on it.

    Raises NotPointwise, a TypeError, at the first call if the function is not pointwise: if it reduces, indexes or
    reshapes, looks at values or shapes, changes a tensor in place, or takes a tensor from elsewhere than its arguments.
    Tensors that are neither of floating numbers nor booleans are given to the function itself.

    >>> @gradcu.fuse
    ... def swish(x, beta=1.0):
    ...     return x * gradcu.sigmoid(beta * x)
    >>> swish(gradcu.tensor([0.0, 1.0]), beta=2.0)
    tensor([0.0000, 0.8808])
    """
    if not callable(function):
        raise TypeError(f"fuse(): expected a function, got {type(function).__name__}")
    name = getattr(function, "__name__", type(function).__name__)
    made = Pointwise(function, name, list(inspect.signature(function).parameters.values()))
    functools.update_wrapper(made, function)
    return made


_declared: set[str] = set()  # operations of the user's own, which may be declared anew


def elementwise(name: str, forward: Callable, vjp: Any = None) -> Pointwise:
    """Declare an operation from its formula, as gradcu's own operations are.

    forward: `(xp, x, y, ..., setting=number, ...) -> result`, over an array namespace `xp`: what the array API standard
        has under such a name, or an operation. Parameters with a default are numbers, the others tensors.
    vjp: of each tensor the product of a gradient with the Jacobian, `(xp, g, x, ..., setting, ...) -> gradient`, with
        parameters of the same names in any order (`out` is the result); one formula, or a list of them. If it is not
        given it follows from the formulas of what `forward` is made of.

    Other formulas can use it as `xp.<name>`. Raises ValueError if gradcu has an operation of that name, NotPointwise if
    the formula is not pointwise.

    >>> swish = gradcu.elementwise("swish", lambda xp, x, beta=1.0: x / (1 + xp.exp(-beta * x)))
    >>> swish(gradcu.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """
    if not name.isidentifier() or (name in registry and name not in _declared) or name in BASIC:
        raise ValueError(f"elementwise(): '{name}' is no free name for an operation")
    parameters = list(inspect.signature(forward).parameters.values())[1:]
    given = [vjp] if callable(vjp) else vjp
    made = Pointwise(functools.partial(forward, recorded), name, parameters, vjps=given, listed=True)
    made.__name__ = made.__qualname__ = name
    made.__doc__ = forward.__doc__
    kinds = tuple("array" if p.default is p.empty else "number" for p in parameters)
    made._operation(kinds, tuple(None if p.default is p.empty else p.default for p in parameters))
    _declared.add(name)
    return made
