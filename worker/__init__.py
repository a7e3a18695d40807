"""The integration and sync worker of a multi-tenant CRM."""

__version__ = "0.1.0"
