"""Recurrent layers: one step (cells), and whole sequences."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..ops import functions
from ..ops.creation import empty, zeros
from ..tensor import Tensor
from . import functional as F, init
from .module import Module
from .parameter import Parameter

# Each step takes the gates of the input (computed for all steps at once), the state and the parameters of the state.


def _rnn_tanh(gates: Tensor, h: Any, w: Tensor, b: Tensor | None) -> Tensor:
    return (gates + F.linear(h, w, b)).tanh()


def _rnn_relu(gates: Tensor, h: Any, w: Tensor, b: Tensor | None) -> Tensor:
    return (gates + F.linear(h, w, b)).relu()


def _gru(gates: Tensor, h: Any, w: Tensor, b: Tensor | None) -> Tensor:
    """r, z = sigmoid(...), n = tanh(x_n + r · h_n), h = (1 - z) · n + z · h: Cho et al., 2014."""
    (x_r, x_z, x_n), (h_r, h_z, h_n) = gates.chunk(3, -1), F.linear(h, w, b).chunk(3, -1)
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    n = (x_n + r * h_n).tanh()
    return n + z * (h - n)


def _lstm(gates: Tensor, state: Any, w: Tensor, b: Tensor | None) -> tuple[Tensor, Tensor]:
    """i, f, o = sigmoid(...), g = tanh(...), c = f · c + i · g, h = o · tanh(c): Hochreiter and Schmidhuber, 1997."""
    h, c = state
    i, f, g, o = (gates + F.linear(h, w, b)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _shown(module: Any, names: dict[str, Any]) -> str:
    """The settings that are not the usual ones."""
    return "".join(
        f", {name}={getattr(module, name)}" for name, usual in names.items() if getattr(module, name) != usual
    )


def _start(module: Module, rows: int) -> None:
    """Draw the parameters uniformly on ±1 / sqrt(rows)."""
    bound = 1 / math.sqrt(rows) if rows > 0 else 0
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


class _Cell(Module):
    gates: int
    step: Any

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(rows, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values: uniform on ±1 / sqrt(hidden_size)."""
        _start(self, self.hidden_size)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        several = self.step is _lstm
        states: Any = () if hx is None else hx if several else (hx,)
        for what, t in (("input", input), *(("hidden", s) for s in states)):
            if t.dim() not in (1, 2):
                raise ValueError(f"{type(self).__name__}: Expected {what} to be 1D or 2D, got {t.dim()}D instead")
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if hx is None:
            zero = zeros(x.shape[0], self.hidden_size, dtype=x.dtype, device=x.device)
            states = (zero, zero) if several else (zero,)
        elif not batched:
            states = tuple(s.unsqueeze(0) for s in states)
        gates = F.linear(x, self.weight_ih, self.bias_ih)
        result = self.step(gates, states if several else states[0], self.weight_hh, self.bias_hh)
        if batched:
            return result
        return tuple(s.squeeze(0) for s in result) if several else result.squeeze(0)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + _shown(self, {"bias": True})


class RNNCell(_Cell):
    """(N, input_size), (N, hidden_size) -> (N, hidden_size): tanh or relu of the sum of two linear layers."""

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    @property
    def step(self) -> Any:
        """What one step computes. Raises RuntimeError for an unknown nonlinearity."""
        if self.nonlinearity not in _STEPS:
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return _STEPS[self.nonlinearity]

    def extra_repr(self) -> str:
        return super().extra_repr() + _shown(self, {"nonlinearity": "tanh"})


class GRUCell(_Cell):
    """(N, input_size), (N, hidden_size) -> (N, hidden_size): one step of a gated recurrent unit."""

    gates, step = 3, staticmethod(_gru)


class LSTMCell(_Cell):
    """(N, input_size), (h, c) -> (h, c), each (N, hidden_size): one step of long short-term memory."""

    gates, step = 4, staticmethod(_lstm)


_STEPS = {"tanh": _rnn_tanh, "relu": _rnn_relu}


class _Recurrent(Module):
    """Sequences (L, N, input_size), or (N, L, input_size) with `batch_first`, or (L, input_size)."""

    gates: int
    step: Any

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=2,
            )
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional, self.proj_size = (
            batch_first,
            dropout,
            bidirectional,
            proj_size,
        )
        rows, out = self.gates * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            columns = input_size if layer == 0 else out * (1 + bidirectional)
            for end in self._ends(layer):
                shapes: dict[str, Any] = {"weight_ih": (rows, columns), "weight_hh": (rows, out)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes |= {"weight_hr": (proj_size, hidden_size)}
                for name, shape in shapes.items():
                    setattr(self, name + end, Parameter(empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def _ends(self, layer: int) -> list[str]:
        """How the names of a layer's parameters end, forward and, if there is that, backward."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + self.bidirectional]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [
            [p for name, p in self._parameters.items() if name.endswith(end) and p is not None]
            for layer in range(self.num_layers)
            for end in self._ends(layer)
        ]

    def flatten_parameters(self) -> None:
        """Nothing to do: for cuDNN, which is not used."""

    def reset_parameters(self) -> None:
        """Draw new values: uniform on ±1 / sqrt(hidden_size)."""
        _start(self, self.hidden_size)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        name, several, stack = type(self).__name__, self.step is _lstm, functions["stack"]
        if input.dim() not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )
        batched = input.dim() == 3
        x: Any = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        count = self.num_layers * (1 + self.bidirectional)
        if hx is None:
            sizes = [self.proj_size or self.hidden_size, self.hidden_size][: 1 + several]
            states = [zeros(count, x.shape[1], n, dtype=x.dtype, device=x.device) for n in sizes]
        else:
            states = list(hx) if several else [hx]
            if not batched:
                states = [s.unsqueeze(1) for s in states]
            for s, n in zip(states, (self.proj_size or self.hidden_size, self.hidden_size)):
                if tuple(s.shape) != (count, x.shape[1], n):
                    raise RuntimeError(f"Expected hidden size {(count, x.shape[1], n)}, got {list(s.shape)}")
        last: list[Any] = []
        for layer in range(self.num_layers):
            directions = []
            for end in self._ends(layer):
                first = [s[len(last)] for s in states]
                result, state = self._run(x, first if several else first[0], end)
                directions.append(result)
                last.append(state)
            x = functions["cat"](directions, -1) if self.bidirectional else directions[0]
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        finals = [stack(list(parts)) for parts in (zip(*last, strict=True) if several else [last])]
        if not batched:
            x, finals = x.squeeze(1), [s.squeeze(1) for s in finals]
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, tuple(finals) if several else finals[0]

    def _run(self, x: Any, state: Any, end: str) -> tuple[Tensor, Any]:
        """One layer in one direction: the states of all steps, and the last."""
        weight, bias = getattr(self, "weight_hh" + end), getattr(self, "bias_hh" + end, None)
        gates = F.linear(x, getattr(self, "weight_ih" + end), getattr(self, "bias_ih" + end, None)).unbind(0)
        backwards = end.endswith("_reverse")
        results = []
        for gate in reversed(gates) if backwards else gates:
            state = self.step(gate, state, weight, bias)
            if self.proj_size:
                state = F.linear(state[0], getattr(self, "weight_hr" + end)), state[1]
            results.append(state[0] if self.step is _lstm else state)
        return functions["stack"](results[::-1] if backwards else results), state

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}" + _shown(self, {"proj_size": 0, "num_layers": 1, "bias": True})
        return text + _shown(self, {"batch_first": False, "dropout": 0, "bidirectional": False})


class RNN(_Recurrent):
    """A sequence and the first state (layers, N, hidden_size) -> all outputs, and the last state: Elman, 1990.

    Raises ValueError for settings out of range, RuntimeError for sizes that do not fit.
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        **more: Any,
    ) -> None:
        if nonlinearity not in _STEPS:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        if "proj_size" in more:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__(input_size, hidden_size, num_layers, bias, **more)
        self.nonlinearity = nonlinearity

    @property
    def step(self) -> Any:
        """What one step computes."""
        return _STEPS[self.nonlinearity]


class GRU(_Recurrent):
    """A sequence and the first state (layers, N, hidden_size) -> all outputs, and the last state.

    Raises ValueError for settings out of range, RuntimeError for sizes that do not fit.
    """

    gates, step = 3, staticmethod(_gru)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__(*args, **kwargs)


class LSTM(_Recurrent):
    """A sequence and the first states (h, c) -> all outputs, and the last (h, c), each (layers, N, hidden_size).

    proj_size: h is multiplied by a matrix of that many rows. Raises ValueError for settings out of range, RuntimeError
    for sizes that do not fit.
    """

    gates, step = 4, staticmethod(_lstm)
