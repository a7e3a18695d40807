"""Errors that the control door has in store: for one account or all, one method or all, so many times.

They come after the caller is known and before anything else is looked at, so an account can fail while others go on.
"""

import msgspec

from simulator.google_ads.failures import CATALOGUE, AdsFailure, failure


class ScriptedError(msgspec.Struct, forbid_unknown_fields=True):
    """One error in store.

    `method` is `search`, `searchStream` or `listAccessibleCustomers`; `times` 0 is without end. `after_chunks` lets a
    stream begin with so many chunks and end with the error inside a reply of status 200.
    """

    error: str
    customer: int | str | None = None
    method: str | None = None
    times: int = 1
    retry_delay_s: float | None = None
    after_chunks: int = 0

    def failure(self) -> AdsFailure:
        """Return the error itself."""
        return failure(self.error, "Scripted.", retry_delay_s=self.retry_delay_s)


class ScriptedErrors:
    """All errors in store, oldest first."""

    def __init__(self) -> None:
        self.waiting: list[ScriptedError] = []

    def add(self, error: ScriptedError) -> None:
        """Put one in store.

        Raises: ValueError for a code that is not in the catalogue.
        """
        if error.error not in CATALOGUE:
            raise ValueError(f"There is no error {error.error!r}; there are {sorted(CATALOGUE)}.")
        self.waiting.append(error)

    def take(self, method: str, customer: str | None, key: str | None) -> ScriptedError | None:
        """Return the first error that is meant for this call, and count it as used."""
        for one in self.waiting:
            wanted = None if one.customer is None else str(one.customer)
            if one.method in (None, method) and (wanted is None or wanted in (customer, key)):
                if one.times == 1:
                    self.waiting.remove(one)
                elif one.times:
                    one.times -= 1
                return one
        return None
