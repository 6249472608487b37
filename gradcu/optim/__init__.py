"""`gradcu.optim`: optimizers, and schedules of their learning rates."""

from . import lr_scheduler
from .adam import Adam, AdamW
from .adaptive import Adadelta, Adagrad, Adamax, NAdam, RAdam, RMSprop
from .asgd import ASGD
from .optimizer import Optimizer
from .rprop import Rprop
from .sgd import SGD
