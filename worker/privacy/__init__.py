"""Revocation, retention and rights, as rules over the store; no request leaves from here."""
