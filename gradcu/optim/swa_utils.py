"""Averages of a model's parameters over the course of training."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import dtypes
from ..graph.modes import no_grad
from ..nn.module import Module
from ..nn.norm import _BatchNorm
from ..ops.creation import zeros
from ..tensor import Tensor
from .lr_scheduler.base import LRScheduler, for_groups
from .optimizer import Optimizer


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Tensor, Tensor, Any], Tensor]:
    """The exponential moving average, for `AveragedModel(avg_fn=...)`. Raises ValueError for a decay outside [0, 1]."""
    _check_decay(decay)
    return no_grad()(lambda averaged, current, count: decay * averaged + (1 - decay) * current)


def get_swa_avg_fn() -> Callable[[Tensor, Tensor, Any], Tensor]:
    """The plain mean, for `AveragedModel(avg_fn=...)`: Izmailov et al., 2018."""
    return no_grad()(lambda averaged, current, count: averaged + (current - averaged) / (count + 1))


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]:
    """The exponential moving average of many tensors in place. Raises ValueError for a decay outside of [0, 1]."""
    return _in_place(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]:
    """The plain mean of many tensors in place."""
    return _in_place(get_swa_avg_fn())


def _in_place(average: Callable[[Tensor, Tensor, Any], Tensor]) -> Callable:
    @no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Any) -> None:
        for a, c in zip(averaged, current, strict=True):
            a.copy_(average(a, c, count))

    return update


class AveragedModel(Module):
    """A copy of a model, which stays reachable as `module`, whose parameters are averages of the model's.

    Call `update_parameters(model)` after steps of the optimizer. The mean over all calls, unless `avg_fn(averaged,
    current, count)` returns, or `multi_avg_fn(averaged, current, count)` sets lists of tensors to, another average.
    use_buffers: average buffers as well; else they are copied.

    >>> averaged = AveragedModel(nn.Linear(2, 1), multi_avg_fn=get_ema_multi_avg_fn(0.99))
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Tensor, Tensor, Any], Tensor] | None = None,
        multi_avg_fn: Callable[[Sequence[Tensor], Sequence[Tensor], Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", zeros((), dtype=dtypes.int64, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters into the averages; the first time they are copied."""
        averaged: list[Tensor] = list(self.module.parameters())
        current: list[Tensor] = list(model.parameters())
        buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
        if self.use_buffers:
            averaged, current = averaged + [b for b, _ in buffers], current + [b for _, b in buffers]
        pairs = [(a.detach(), c.detach().to(a.device)) for a, c in zip(averaged, current)]
        if not self.n_averaged.item():
            for a, c in pairs:
                a.copy_(c)
        elif self.avg_fn is not None:
            for a, c in pairs:
                a.copy_(self.avg_fn(a, c, self.n_averaged.to(a.device)))
        else:
            update = self.multi_avg_fn or get_swa_multi_avg_fn()
            for group in _alike(pairs):
                update([a for a, _ in group], [c for _, c in group], self.n_averaged.to(group[0][0].device))
        if not self.use_buffers:
            for own, b in buffers:
                own.detach().copy_(b.detach().to(own.device))
        self.n_averaged += 1


def _alike(pairs: list[tuple[Tensor, Tensor]]) -> list[list[tuple[Tensor, Tensor]]]:
    """The pairs in groups of one device and dtype."""
    groups: dict[Any, list[tuple[Tensor, Tensor]]] = {}
    for pair in pairs:
        groups.setdefault((pair[0].device, pair[0].dtype), []).append(pair)
    return list(groups.values())


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of batch normalizations anew, over one pass through `loader`.

    Of batches that are lists or tuples the first member is given to the model, moved to `device` if that is given.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not norms:
        return
    momenta, training = [norm.momentum for norm in norms], model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    for batch in loader:
        input = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(input if device is None else input.to(device))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """From the rates at hand to `swa_lr` over `anneal_epochs`, then constant. anneal_strategy: "cos" or "linear".

    Raises ValueError for another strategy and a negative number of epochs.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for lr, group in zip(for_groups("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _part(self, step: int) -> float:
        """How far the rates have come at that step, from 0 to 1."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def _rates(self) -> list[Any]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        now, before = self._part(step), self._part(step - 1)
        rates = []
        for group in self.optimizer.param_groups:
            lr, end = group["lr"], group["swa_lr"]
            start = end if before == 1 else (lr - before * end) / (1 - before)  # where the rate came from
            rates.append(end * now + start * (1 - now))
        return rates
