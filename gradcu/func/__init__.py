"""`gradcu.func`: functions that take a function and return its derivatives, and that batch it.

They compose: `jacfwd(jacrev(f))`, `vmap(grad(f))`. Arguments and results may be dicts, lists and tuples of tensors.

>>> grad(lambda x: x.sin())(tensor(0.0))
tensor(1.)
"""

from .batching import debug_unwrap, vmap
from .derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from .modules import functional_call, replace_all_batch_norm_modules_, stack_module_state

__all__ = [
    "debug_unwrap",
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]
