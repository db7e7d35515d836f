"""Eviction policies: which entry goes when the cache is full."""
