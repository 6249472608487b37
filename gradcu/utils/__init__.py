"""`gradcu.utils`: loading data, recomputing in backward what would take memory to keep, a table of a model's layers."""

from . import checkpoint as checkpoint, data as data
from .model_summary import summary as summary
