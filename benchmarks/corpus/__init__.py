"""Small trainings with a known fault, their healthy twins, and healthy ones that look suspicious.

    python -m benchmarks.corpus

The corpus is frozen; see README.md beside this file.
"""
