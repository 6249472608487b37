"""The training loops of `examples/`, as workloads: one step of each, in the library whose name stands in its import."""

import itertools
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from workloads import Maker, Step, workload

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def load(name: str, torch: Any) -> Any:
    """The example as a module that imports the given library."""
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    module = types.ModuleType(name)
    source = source.replace("import gradcu as torch", f"import {torch.__name__} as torch")
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module


def example(name: str, model: str) -> Callable[[Callable[[Any, Any, str], tuple]], Any]:
    """Register the example; the decorated function gives what its `train` takes besides the model."""

    def register(arguments: Callable[[Any, Any, str], tuple]) -> Any:
        def build(torch: Any, device: str) -> Step:
            module = load(name, torch)
            made = Maker(torch, device).module(getattr(module, model)())
            losses = module.train(made, *arguments(module, torch, device))
            return lambda: [torch.tensor(next(losses))]

        return workload(f"example {name}", target=1.0)(build)

    return register


def moved(batches: Iterable[Any], device: str) -> Iterable[Any]:
    """The batches on the device, again and again."""
    return itertools.cycle([b.to(device) if hasattr(b, "to") else tuple(t.to(device) for t in b) for b in batches])


@example("train_digits", "Net")
def train_digits(module: Any, torch: Any, device: str) -> tuple:
    images, _, labels, _ = module.digits()
    return (moved([(images[i : i + 32], labels[i : i + 32]) for i in range(0, 1408, 32)], device),)


@example("char_gpt", "GPT")
def char_gpt(module: Any, torch: Any, device: str) -> tuple:
    return (moved(module.batches(20), device),)


@example("vae_digits", "VAE")
def vae_digits(module: Any, torch: Any, device: str) -> tuple:
    noise = Maker(torch, device).normal(64, module.LATENT)

    class Normal(module.Normal):  # draws, but takes numbers that are the same in both libraries
        def rsample(self, sample_shape: Any = ()) -> Any:
            return self.loc + self.scale * (noise + 0 * torch.randn(noise.shape, device=device))

    module.Normal = Normal
    return (moved(module.batches(1), device),)


@example("lstm_forecast", "Forecaster")
def lstm_forecast(module: Any, torch: Any, device: str) -> tuple:
    return (moved(module.batches(20), device),)


@example("gcn_digits", "GCN")
def gcn_digits(module: Any, torch: Any, device: str) -> tuple:
    return [part.to(device) for part in module.graph()], 10**9
