"""Measurements, as ratios within one run, since machines differ. `python -m bench --help`; see docs/benchmarks.md."""
