"""Jobs: one module for each kind of job, and the machinery that claims, runs and finishes them.

    doorbell ──▶ run_job: claim ▶ handler ▶ outcome ──▶ ledger (Postgres)

The ledger is the truth, the doorbell only wakes. Nothing here decides what is due: that is the scheduler's.
"""
