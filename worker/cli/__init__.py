"""The command `crm-sync`: one module for each group of commands."""
