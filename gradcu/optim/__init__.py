"""`gradcu.optim`: optimizers, and schedules of their learning rates."""

from . import lr_scheduler as lr_scheduler, swa_utils as swa_utils
from .adafactor import Adafactor as Adafactor
from .adam import Adam as Adam, AdamW as AdamW
from .adaptive import (
    Adadelta as Adadelta,
    Adagrad as Adagrad,
    Adamax as Adamax,
    NAdam as NAdam,
    RAdam as RAdam,
    RMSprop as RMSprop,
)
from .asgd import ASGD as ASGD
from .lbfgs import LBFGS as LBFGS
from .muon import Muon as Muon
from .optimizer import Optimizer as Optimizer
from .rprop import Rprop as Rprop
from .sgd import SGD as SGD
