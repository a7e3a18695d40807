"""Keyrings, data keys, sealed values, blind indexes, and grants with their refresh: nothing secret leaves this package.

It does not decide what becomes of a connection; it says what happened by an error of `worker.errors`.
"""
