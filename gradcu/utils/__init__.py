"""`gradcu.utils`: loading data."""

from . import data as data
