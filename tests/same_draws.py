"""Runs a script of tests/scripts under gradcu or PyTorch, with the same random numbers in both: NumPy's."""

import contextlib
import importlib
import re
import types
from pathlib import Path
from unittest import mock

import numpy as np

SCRIPTS = Path(__file__).resolve().parent / "scripts"
NAMES = sorted(path.stem for path in SCRIPTS.glob("*.py"))


def load(name, library):
    """The script as a module, in which only the imports have been changed from `torch` to `library`."""
    source = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    source = re.sub(r"^import torch$", f"import {library} as torch", source, flags=re.MULTILINE)
    source = re.sub(r"^(\s*)(import|from) torch(\.| import)", rf"\1\2 {library}\3", source, flags=re.MULTILINE)
    module = types.ModuleType(f"{name}_on_{library}")
    exec(compile(source, f"{name}.py on {library}", "exec"), module.__dict__)
    return module


def losses(name, library):
    """What `losses()` of the script gives, as an array; `library` is gradcu, torch, or torch after install_as_torch."""
    torch = importlib.import_module(library)
    script = load(name, library)
    with same_draws(torch):
        return np.array([float(loss) for loss in script.losses()])


@contextlib.contextmanager
def same_draws(torch, seed=0):
    """While it lasts, whatever draws random numbers takes them, in the order of the calls, from a NumPy generator."""
    rng = np.random.default_rng(seed)
    functional = importlib.import_module(f"{torch.nn.__name__}.functional")

    def made(array, dtype=None, requires_grad=False):
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(dtype or torch.get_default_dtype())
        return tensor.requires_grad_(requires_grad)

    def shape_of(size):
        return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size

    def filled(tensor, array):
        with torch.no_grad():
            return tensor.copy_(torch.from_numpy(array))

    def randint(low, high=None, size=None, *, generator=None, dtype=None, device=None):
        if not isinstance(high, int | None):
            high, size = None, high
        low, high = (0, low) if high is None else (low, high)
        return made(rng.integers(low, high, tuple(size)), dtype or torch.int64)

    def multinomial(input, num_samples, replacement=False, *, generator=None):
        gumbel = rng.gumbel(size=(num_samples, *input.shape)) if replacement else rng.gumbel(size=input.shape)
        keys = np.log(np.maximum(input.detach().numpy().astype("float64"), 1e-300)) + gumbel
        if replacement:
            return made(np.moveaxis(keys.argmax(-1), 0, -1), torch.int64)
        return made((-keys).argsort(-1)[..., :num_samples], torch.int64)

    def dropout(input, p=0.5, training=True, inplace=False):
        if not training or p == 0:
            return input
        return input * made((rng.random(tuple(input.shape)) >= p) / (1 - p), input.dtype)

    def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
        return filled(tensor, rng.normal(mean, std, tuple(tensor.shape)).clip(a, b))

    def orthogonal_(tensor, gain=1.0, generator=None):
        rows = tensor.shape[0]
        q = np.linalg.svd(rng.standard_normal((rows, tensor.numel() // rows)), full_matrices=False)
        return filled(tensor, gain * (q[0] @ q[2]).reshape(tensor.shape))

    functions = {
        "rand": lambda *size, generator=None, dtype=None, device=None, requires_grad=False: made(
            rng.random(shape_of(size)), dtype, requires_grad
        ),
        "randn": lambda *size, generator=None, dtype=None, device=None, requires_grad=False: made(
            rng.standard_normal(shape_of(size)), dtype, requires_grad
        ),
        "rand_like": lambda input: made(rng.random(tuple(input.shape)), input.dtype),
        "randn_like": lambda input: made(rng.standard_normal(tuple(input.shape)), input.dtype),
        "randint": randint,
        "randperm": lambda n, generator=None: made(rng.permutation(n), torch.int64),
        "multinomial": multinomial,
        "bernoulli": lambda input: made(rng.random(tuple(input.shape)) < input.detach().numpy(), input.dtype),
    }
    methods = {
        "uniform_": lambda x, low=0.0, high=1.0, generator=None: filled(x, rng.uniform(low, high, tuple(x.shape))),
        "normal_": lambda x, mean=0.0, std=1.0, generator=None: filled(x, rng.normal(mean, std, tuple(x.shape))),
    }
    with contextlib.ExitStack() as stack:

        def replace(owner, **names):
            stack.enter_context(mock.patch.multiple(owner, **names))

        replace(torch, **functions)
        replace(torch.Tensor, **methods)
        replace(torch.nn.init, trunc_normal_=trunc_normal_, orthogonal_=orthogonal_)
        replace(functional, dropout=dropout)
        replace(torch.nn.Dropout, forward=lambda self, input: dropout(input, self.p, self.training))
        replace(torch.utils.data.RandomSampler, __iter__=lambda self: iter(rng.permutation(len(self)).tolist()))
        replace(
            torch.distributions.Categorical,
            sample=lambda self: multinomial(self.probs.reshape(-1, self.probs.shape[-1]), 1).reshape(
                self.probs.shape[:-1]
            ),
        )
        replace(
            torch.distributions.Normal,
            sample=lambda self: made(rng.normal(self.loc.detach().numpy(), self.scale.detach().numpy())),
            rsample=lambda self: self.loc + made(rng.standard_normal(tuple(self.loc.shape))) * self.scale,
        )
        if torch.__name__ == "torch":
            replace(torch, compile=lambda model: model)  # PyTorch's takes a minute, and its losses are the same
        yield


if __name__ == "__main__":  # `python same_draws.py NAME ...`: the losses of scripts for which gradcu is `torch`
    import sys

    import gradcu

    gradcu.install_as_torch()
    for name in sys.argv[1:]:
        print(*losses(name, "torch"))
