"""The providers on loopback, for tests, demos and benchmarks.

The package stands alone: it imports nothing from the product, so that a mistake in one cannot hide in the other.
It is no provider's code and proves nothing about a provider beyond what the provider documents.
"""
