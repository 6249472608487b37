"""`gradcu.utils`: loading data, and recomputing in backward what would take memory to keep."""

from . import checkpoint as checkpoint, data as data
