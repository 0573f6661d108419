"""Benchmarks of trainwell: one file a question."""
