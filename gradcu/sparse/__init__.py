"""`gradcu.sparse`: tensors of which most elements are zero, in coordinates (COO) or compressed rows (CSR).

They take part in the graph through their values; products with dense matrices have gradients on both sides. All else is
asked of `to_dense()`.
"""

from .functions import (
    addmm as addmm,
    log_softmax as log_softmax,
    mm as mm,
    softmax as softmax,
    sparse_coo_tensor as sparse_coo_tensor,
    sparse_csr_tensor as sparse_csr_tensor,
    spmm as spmm,
    sum as sum,
)
from .tensor import SparseTensor as SparseTensor
