"""The engine: pull a page, decide what it means for what we hold, commit it whole."""
