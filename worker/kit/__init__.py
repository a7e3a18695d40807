"""The kit for those who write connectors: the conformance suite that grades one, and the scaffold that begins one.

    provider.py  the simulated provider, by its control door        stage.py     the processes that a check runs
    scene.py     one stream's connection, and what one may ask       cases.py     the table of cases
    grades.py    grades and what a check found                       check.py     runs the table

It reaches the simulator over HTTP only, and a connector only through the product: consent, ledger, scheduler, worker.
"""
