"""The plug-ins: one file a provider, and the contract that they keep."""
