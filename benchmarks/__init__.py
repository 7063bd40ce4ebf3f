"""Measurements, one module each: `python -m benchmarks.NAME`. They import the pack as `ar_guidance`, which `tools` loads."""

if __name__ == "benchmarks":  # not where a test imports one: there the pack is loaded already
    import tools as tools
