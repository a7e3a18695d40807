"""Postgres: the schema as SQL, the walls between tenants, one module for each family of tables."""
