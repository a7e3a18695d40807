"""A connector of a third party, whole: Tidepool, an address book that nobody runs, and its simulated provider."""
