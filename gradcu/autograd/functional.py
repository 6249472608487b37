"""`gradcu.autograd.functional`: Jacobians, Hessians and their products with vectors, of functions of tensors.

All but Jacobians with `strategy="forward-mode"` are made of reverse mode. `jvp` differentiates a vjp by its own vector,
of which it is a linear function ("double backward trick", Townsend 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import autograd, backends
from ..graph.modes import enable_grad
from ..graph.op import registry
from ..tensor import Tensor, from_array

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = Tensor | tuple[Tensor, ...]


def _tuple(values: Any, what: str, name: str) -> tuple[tuple[Tensor, ...], bool]:
    """A tensor or a tuple of tensors, as a tuple, and whether it was one. Raises TypeError for anything else."""
    several = isinstance(values, tuple)
    for i, v in enumerate(values if several else (values,)):
        if not isinstance(v, Tensor):
            place = f"value at index {i}" if several else f"given {what}"
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the {place} has type "
                f"{type(v)}."
            )
    return (values if several else (values,)), several


def _start(inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    """Tensors to differentiate by: joined to the given ones' history if the result is to be."""
    if create_graph:
        return tuple(t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in inputs)
    return tuple(t.detach().requires_grad_() for t in inputs)


def _call(func: Callable, inputs: tuple[Tensor, ...], name: str, strict: bool) -> tuple[tuple[Tensor, ...], bool]:
    outputs, several = _tuple(func(*inputs), "outputs of the user-provided function", name)
    if strict:
        for i, t in enumerate(outputs):
            if not t.requires_grad:
                raise RuntimeError(
                    f"Output {i} of the user-provided function does not require gradients. The outputs must be "
                    "computed in a differentiable manner from the input when running in strict mode."
                )
    return outputs, several


def _scalar(func: Callable, inputs: tuple[Tensor, ...], name: str, strict: bool) -> Tensor:
    outputs, several = _call(func, inputs, name, strict)
    if several:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
    return outputs[0]


def _vector(v: Any, like: tuple[Tensor, ...], several: bool, name: str, what: str) -> tuple[Tensor, ...]:
    """The vector to multiply with: as many tensors as `like`, of its shapes; may be None for a single element."""
    if v is None:
        if several or like[0].numel() != 1:
            raise RuntimeError(f"The vector v can only be None if {what} a single Tensor with a single element.")
        return (_like(like[0], "ones_like"),)
    given, _ = _tuple(v, "v", name)
    if not several and len(given) != 1:
        raise RuntimeError("The given v should contain a single Tensor.")
    if len(given) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(given)}.")
    for i, (t, shape) in enumerate(zip(given, (t.shape for t in like), strict=True)):
        if t.shape != shape:
            where = f"Entry {i} in v" if several else "v"
            raise RuntimeError(f"{where} has invalid size: should be {shape} but got {t.shape}.")
    return tuple(t.detach() if not t.requires_grad else t for t in given)


def _like(t: Tensor, what: str) -> Tensor:
    return from_array(getattr(backends.namespaces[type(t._array)], what)(t._array))


def _gradients(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], vectors: Sequence[Tensor | None], create_graph: bool
) -> tuple[Tensor | None, ...]:
    """The vjp, with None for inputs that no output depends on; outputs that are constants are left out."""
    pairs = [(o, v) for o, v in zip(outputs, vectors, strict=True) if o.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    return autograd.grad(
        [o for o, _ in pairs],
        inputs,
        [v for _, v in pairs],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )


_INDEPENDENT = (
    "The output of the user-provided function is independent of input {i}. This is not allowed in strict mode."
)
_CONSTANT = (
    "The jacobian of the user-provided function is independent of input {i}. This is not allowed in strict mode when "
    "create_graph=True."
)
_HESSIAN = (
    "While computing the hessian, found that the jacobian of the user-provided function with respect to input {i} is "
    "independent of the input. This is not allowed in strict mode. You should ensure that your function is twice "
    "differentiable and that the jacobian depends on the inputs (this would be violated by a linear function for "
    "example)."
)


def _filled(
    found: Sequence[Tensor | None], like: Sequence[Tensor], strict: bool, message: str, recorded: str = ""
) -> tuple[Tensor, ...]:
    """Zeros for what is None; in strict mode RuntimeError instead, and (`recorded` says it) for what has no history."""
    results = []
    for i, (g, t) in enumerate(zip(found, like, strict=True)):
        if strict and (g is None or (recorded and not g.requires_grad)):
            raise RuntimeError((message if g is None else recorded).format(i=i))
        results.append(_like(t, "zeros_like") if g is None else g)
    return tuple(results)


def _finish(values: Sequence[Tensor], several: bool, create_graph: bool) -> Any:
    """As the caller gave it: one tensor or a tuple; outside of the graph unless `create_graph`."""
    done = tuple(values) if create_graph else tuple(t.detach() for t in values)
    return done if several else done[0]


def jacobian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of each output of `func` by each input: for one of each a tensor of shape (*output, *input).

    Several inputs give a tuple, several outputs a tuple of those. create_graph: make the result differentiable. strict:
    raise RuntimeError where an output does not depend on an input. vectorize: compute all rows by one backward, rather
    than by one each. strategy: with "forward-mode" and vectorize all columns at once, which is less work for many
    outputs of few inputs.

    >>> jacobian(lambda x: x**2, tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs '
            'than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only implemented for "
            "`vectorize=True`."
        )
    if strict and vectorize:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. "
            "Please either set `strict=False` or `vectorize=False`."
        )
    given, several_inputs = _tuple(inputs, "inputs", "jacobian")
    with enable_grad():
        if strategy == "forward-mode":
            if create_graph:
                raise NotImplementedError(
                    'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not '
                    'supported together (yet). Please either set `create_graph=False` or `strategy="reverse-mode"`.'
                )
            several_outputs, blocks = _columns(func, given)
        else:
            given = _start(given, create_graph)
            outputs, several_outputs = _call(func, given, "jacobian", strict)
            if vectorize:
                blocks = [_rows(out, given, create_graph) for out in outputs]
            else:
                blocks = [_row_by_row(i, out, given, create_graph, strict) for i, out in enumerate(outputs)]
    rows = [_finish(row, several_inputs, create_graph) for row in blocks]
    return tuple(rows) if several_outputs else rows[0]


def _columns(func: Callable, inputs: tuple[Tensor, ...]) -> tuple[bool, list[list[Tensor]]]:
    """Whether there are several outputs, and the derivatives of each, by forward mode."""
    from ..func import jacfwd

    several = []

    def called(*at: Tensor) -> tuple[Tensor, ...]:
        outputs, many = _call(func, at, "jacobian", False)
        several.append(many)
        return outputs

    blocks = map(list, jacfwd(called, argnums=tuple(range(len(inputs))))(*(t.detach() for t in inputs)))
    return several[0], list(blocks)


def _rows(out: Tensor, inputs: tuple[Tensor, ...], create_graph: bool) -> list[Tensor]:
    """The derivatives of one output, all rows at once: for each input a tensor of shape (*output, *input)."""
    count = out.numel()
    found: Sequence[Tensor | None] = (None,) * len(inputs)
    if out.requires_grad and count:
        xp = backends.namespaces[type(out._array)]
        basis = xp.reshape(xp.eye(count, dtype=out._array.dtype), (count, *out._array.shape))
        found = autograd.grad(
            out,
            inputs,
            from_array(basis),
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=True,
        )
    return [
        _zeros((*out.shape, *t.shape), t) if g is None else g.reshape((*out.shape, *t.shape))
        for g, t in zip(found, inputs, strict=True)
    ]


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return from_array(backends.namespaces[type(like._array)].zeros(shape, dtype=like._array.dtype))


def _row_by_row(number: int, out: Tensor, inputs: tuple[Tensor, ...], create_graph: bool, strict: bool) -> list[Tensor]:
    """The derivatives of one output by one backward for each element."""
    columns: list[list[Tensor]] = [[] for _ in inputs]
    for element in out.reshape(-1).unbind(0) if out.numel() else ():
        found = _gradients((element,), inputs, (None,), create_graph)
        message = f"Output {number} of the user-provided function is independent of input {{i}}. This is not allowed "
        row = _filled(found, inputs, strict, message + "in strict mode.", _CONSTANT if create_graph else "")
        for column, g in zip(columns, row, strict=True):
            column.append(g)
    blocks = []
    for column, t in zip(columns, inputs, strict=True):
        shape = (*out.shape, *t.shape)
        blocks.append(registry["stack"](column, 0).reshape(shape) if column else _zeros(shape, t))
    return blocks


def hessian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function with one number as its result: the Jacobian of its gradient.

    For one input a tensor of shape (*input, *input), for several a tuple of tuples. Further arguments are those of
    `jacobian`. Raises RuntimeError if `func` gives more than one element.

    >>> hessian(lambda x: (x**3).sum(), tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    given, several = _tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def gradient(*at: Tensor) -> tuple[Tensor, ...]:
        value = _scalar(func, at, "hessian", strict)
        return _filled(_gradients((value,), at, (None,), True), at, strict, _HESSIAN, _HESSIAN)

    found = jacobian(gradient, given, create_graph, strict, vectorize, outer_jacobian_strategy)
    return found if several else found[0][0]


def vjp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The outputs of `func`, and the product of `v` (of the shape of the outputs) with its Jacobian.

    v may be left out if there is one output of one element. Raises RuntimeError if its shape is another; in strict
    mode where an output does not depend on an input.

    >>> vjp(lambda x: x**2, tensor([1.0, 2.0]), tensor([1.0, 1.0]))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    given, several_inputs = _tuple(inputs, "inputs", "vjp")
    with enable_grad():
        given = _start(given, create_graph)
        outputs, several_outputs = _call(func, given, "vjp", strict)
        vector = _vector(v, outputs, several_outputs, "vjp", "the user-provided function returns")
        found = _gradients(outputs, given, vector, create_graph)
        product = _filled(found, given, strict, _INDEPENDENT, _CONSTANT if create_graph else "")
    return _finish(outputs, several_outputs, create_graph), _finish(product, several_inputs, create_graph)


def jvp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The outputs of `func`, and the product of its Jacobian with `v` (of the shape of the inputs).

    v may be left out if there is one input of one element. Raises RuntimeError if its shape is another; in strict mode
    where an output does not depend on the inputs.

    >>> jvp(lambda x: x**2, tensor([1.0, 2.0]), tensor([1.0, 0.0]))
    (tensor([1., 4.]), tensor([2., 0.]))
    """
    given, several_inputs = _tuple(inputs, "inputs", "jvp")
    vector = _vector(v, given, several_inputs, "jvp", "the input to the user-provided function is")
    with enable_grad():
        given = _start(given, create_graph)
        outputs, several_outputs = _call(func, given, "jvp", strict)
        product = _forward(outputs, given, vector, create_graph, strict)
        product = _filled(product, outputs, strict, "", _CONSTANT if create_graph else "")
    return _finish(outputs, several_outputs, create_graph), _finish(product, several_outputs, create_graph)


def _forward(
    outputs: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    vector: tuple[Tensor, ...],
    create_graph: bool,
    strict: bool,
    message: str = "",
) -> tuple[Tensor, ...]:
    """The Jacobian of outputs by inputs times a vector, by differentiating a vjp by its own vector."""
    probes = tuple(_like(o, "zeros_like").requires_grad_() for o in outputs)
    back = _filled(
        _gradients(outputs, inputs, probes, True),
        inputs,
        strict,
        message or _INDEPENDENT,
    )
    found = _gradients(back, probes, vector, create_graph)
    return _filled(
        found,
        outputs,
        strict,
        message
        or "The jacobian of the user-provided function is independent of output {i}. This is not allowed in "
        "strict mode.",
    )


def vhp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Tensor, Any]:
    """The value of a function with one number as its result, and the product of `v` with its Hessian.

    v has the shape of the inputs and may be left out for one element. Raises RuntimeError if it has another, or if
    `func` gives more than one element.

    >>> vhp(lambda x: (x**3).sum(), tensor([1.0, 2.0]), tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Tensor, Any]:
    """The value of a function with one number as its result, and the product of its Hessian with `v`.

    As `vhp`, which does less work: Hessians are symmetric where second derivatives are continuous.

    >>> hvp(lambda x: (x**3).sum(), tensor([1.0, 2.0]), tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def _hessian_product(
    name: str, func: Callable, inputs: Tensors, v: Any, create_graph: bool, strict: bool
) -> tuple[Tensor, Any]:
    given, several = _tuple(inputs, "inputs", name)
    vector = _vector(v, given, several, name, "the input to the user-provided function is")
    with enable_grad():
        given = _start(given, create_graph)
        value = _scalar(func, given, name, strict)
        gradient = _filled(_gradients((value,), given, (None,), True), given, strict, _INDEPENDENT, _HESSIAN)
        if name == "vhp":
            found = _gradients(gradient, given, vector, create_graph)
            product = _filled(found, given, strict, _HESSIAN)
        else:
            product = _forward(gradient, given, vector, create_graph, strict, _HESSIAN)
    return _finish((value,), False, create_graph), _finish(product, several, create_graph)
