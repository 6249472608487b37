"""`gradcu.nn.functional`: the functions behind the layers. They live in `gradcu.ops`, one block per operation."""

from .. import ops
from ..ops.expose import namespaces

globals().update(namespaces.get("nn.functional", {}))
