"""`gradcu.utils`: loading data."""

from . import data
