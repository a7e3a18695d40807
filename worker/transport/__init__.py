"""The one door out: every request to a provider goes through here and nowhere else."""
