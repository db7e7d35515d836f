"""Benchmarks: every module with a `suite` function is one, named as the module is.

`measuring` times, `reporting` prints, and neither knows what a cache is.
"""
