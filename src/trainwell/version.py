"""The version of trainwell."""

__version__ = "0.1.0"
