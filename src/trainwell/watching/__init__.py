"""Watches a training and names what is wrong with it."""
