"""Recurrent layers: one step (cells), and whole sequences."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..ops import functions
from ..ops.creation import empty, zeros
from ..ops.recurrent import gru, lstm
from ..tensor import Tensor
from . import functional as F, init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence

# Each step takes the gates of the input (computed for all steps at once), the state and the parameters of the state.


def _rnn_tanh(gates: Tensor, h: Any, w: Tensor, b: Tensor | None) -> Tensor:
    return (gates + F.linear(h, w, b)).tanh()


def _rnn_relu(gates: Tensor, h: Any, w: Tensor, b: Tensor | None) -> Tensor:
    return (gates + F.linear(h, w, b)).relu()


def _gru(gates: Tensor, h: Any, w: Tensor, b: Tensor | None) -> Tensor:
    return gru.record((gates, F.linear(h, w, b), h))[0]


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


class RNNCellBase(Module):
    """What the cells share: `num_chunks` gates of `hidden_size` features each, of the input and of the state."""

    step: Any

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size
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


class RNNCell(RNNCellBase):
    """(N, input_size), (N, hidden_size) -> (N, hidden_size): tanh or relu of the sum of two linear layers."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    @property
    def step(self) -> Any:
        """What one step computes. Raises RuntimeError for an unknown nonlinearity."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return _rnn_tanh if self.nonlinearity == "tanh" else _rnn_relu

    def extra_repr(self) -> str:
        return super().extra_repr() + _shown(self, {"nonlinearity": "tanh"})


class GRUCell(RNNCellBase):
    """(N, input_size), (N, hidden_size) -> (N, hidden_size): one step of a gated recurrent unit."""

    step = staticmethod(_gru)

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)


class LSTMCell(RNNCellBase):
    """(N, input_size), (h, c) -> (h, c), each (N, hidden_size): one step of long short-term memory."""

    step = staticmethod(_lstm)

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)


#: by the mode of a recurrent layer: the number of gates, and what one step computes
_MODES: dict[str, tuple[int, Any]] = {
    "RNN_TANH": (1, _rnn_tanh),
    "RNN_RELU": (1, _rnn_relu),
    "GRU": (3, _gru),
    "LSTM": (4, _lstm),
}


class RNNBase(Module):
    """Sequences (L, N, input_size), or (N, L, input_size) with `batch_first`, or (L, input_size), or packed.

    mode: "RNN_TANH", "RNN_RELU", "GRU" or "LSTM".
    """

    def __init__(
        self,
        mode: str,
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
        if mode not in _MODES:
            raise ValueError(f"Unrecognized RNN mode: {mode}")
        self.mode = mode
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional, self.proj_size = (
            batch_first,
            dropout,
            bidirectional,
            proj_size,
        )
        rows, out = _MODES[mode][0] * hidden_size, proj_size or hidden_size
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

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        batched = input.dim() == 3
        x = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        states = self._first_states(x, x.shape[1], hx, batched)
        x, finals = self._layers(x, states, None)
        if not batched:
            x, finals = x.squeeze(1), [s.squeeze(1) for s in finals]
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, tuple(finals) if self.mode == "LSTM" else finals[0]

    def _forward_packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        """The states are in the order of the sequences that were packed, which is sorted inside."""
        data, sizes, order, back = input
        states = self._first_states(data, int(sizes[0]), hx, True)
        if hx is not None and order is not None:
            states = [s.index_select(1, order) for s in states]
        x, finals = self._layers(data, states, sizes.tolist())
        if back is not None:
            finals = [s.index_select(1, back) for s in finals]
        return PackedSequence(x, sizes, order, back), tuple(finals) if self.mode == "LSTM" else finals[0]

    def _first_states(self, x: Tensor, batch: int, hx: Any, batched: bool) -> list[Tensor]:
        """h, or h and c, each (layers, N, features): zeros if `hx` is None. Raises RuntimeError for other sizes."""
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[-1]}"
            )
        count = self.num_layers * (1 + self.bidirectional)
        widths = [self.proj_size or self.hidden_size, self.hidden_size][: 1 + (self.mode == "LSTM")]
        if hx is None:
            return [zeros(count, batch, n, dtype=x.dtype, device=x.device) for n in widths]
        states = list(hx) if self.mode == "LSTM" else [hx]
        if not batched:
            states = [s.unsqueeze(1) for s in states]
        for s, n in zip(states, widths):
            if tuple(s.shape) != (count, batch, n):
                raise RuntimeError(f"Expected hidden size {(count, batch, n)}, got {list(s.shape)}")
        return states

    def _layers(self, x: Tensor, states: list[Tensor], sizes: list[int] | None) -> tuple[Tensor, list[Tensor]]:
        """All layers, and the last states; `x` is (L, N, features), or packed with `sizes` rows a step."""
        several = self.mode == "LSTM"
        last: list[Any] = []
        for layer in range(self.num_layers):
            directions = []
            for end in self._ends(layer):
                result, state = self._run(x, [s[len(last)] for s in states], end, sizes)
                directions.append(result)
                last.append(state)
            x = functions["cat"](directions, -1) if self.bidirectional else directions[0]
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, [functions["stack"](list(parts)) for parts in (zip(*last, strict=True) if several else [last])]

    def _run(self, x: Tensor, first: list[Tensor], end: str, sizes: list[int] | None) -> tuple[Tensor, Any]:
        """One layer in one direction: the states of all steps, and the last."""
        cat, several, step = functions["cat"], self.mode == "LSTM", _MODES[self.mode][1]
        weight, bias = getattr(self, "weight_hh" + end), getattr(self, "bias_hh" + end, None)
        if self.mode == "LSTM" and sizes is None and not self.proj_size:
            return self._run_lstm(x, first, weight, bias, end)
        gates = F.linear(x, getattr(self, "weight_ih" + end), getattr(self, "bias_ih" + end, None))
        steps: Any = gates.unbind(0) if sizes is None else gates.split(sizes)
        backwards = end.endswith("_reverse")
        results, done = [], []  # done: the last states of sequences that have ended, the shortest first
        rows = len(steps[-1] if backwards else steps[0])
        state: Any = tuple(s[:rows] for s in first) if sizes else tuple(first)
        for gate in reversed(steps) if backwards else steps:
            now = len(gate)
            if now < rows:
                done.append(tuple(s[now:] for s in state))
                state = tuple(s[:now] for s in state)
            elif now > rows:
                state = tuple(cat([s, start[rows:now]]) for s, start in zip(state, first))
            rows = now
            result = step(gate, state if several else state[0], weight, bias)
            state = result if several else (result,)
            if self.proj_size:
                state = F.linear(state[0], getattr(self, "weight_hr" + end)), state[1]
            results.append(state[0])
        if done:
            state = tuple(cat([s, *(d[i] for d in reversed(done))]) for i, s in enumerate(state))
        results = results[::-1] if backwards else results
        return functions["stack"](results) if sizes is None else cat(results), state if several else state[0]

    def _run_lstm(
        self, x: Any, first: list[Tensor], weight: Tensor, bias: Tensor | None, end: str
    ) -> tuple[Tensor, Any]:
        """As `_run`, by one operation."""
        if end.endswith("_reverse"):
            x = x.flip(0)
        both = None if bias is None else getattr(self, "bias_ih" + end) + bias
        gates = F.linear(x, getattr(self, "weight_ih" + end), both)
        hs, cs, _ = lstm.record((gates, *first, weight))
        return hs.flip(0) if end.endswith("_reverse") else hs, (hs[-1], cs[-1])

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}" + _shown(self, {"proj_size": 0, "num_layers": 1, "bias": True})
        return text + _shown(self, {"batch_first": False, "dropout": 0, "bidirectional": False})


class RNN(RNNBase):
    """A sequence and the first state (layers, N, hidden_size) -> all outputs, and the last state: Elman, 1990.

    Raises ValueError for settings out of range, RuntimeError for sizes that do not fit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        **more: Any,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        if "proj_size" in more:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, **more)
        self.nonlinearity = nonlinearity


class GRU(RNNBase):
    """A sequence and the first state (layers, N, hidden_size) -> all outputs, and the last state.

    Raises ValueError for settings out of range, RuntimeError for sizes that do not fit.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


class LSTM(RNNBase):
    """A sequence and the first states (h, c) -> all outputs, and the last (h, c), each (layers, N, hidden_size).

    proj_size: h is multiplied by a matrix of that many rows. Raises ValueError for settings out of range, RuntimeError
    for sizes that do not fit.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)
