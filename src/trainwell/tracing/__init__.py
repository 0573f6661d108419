"""Traces a value that is not finite to the first operation, parameter or row that it came from."""
