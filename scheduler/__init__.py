"""Admits jobs, plans recurring work, picks up after the dead. Any number of replicas; none of them runs a job."""
