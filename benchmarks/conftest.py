"""Markers of the benchmark suites."""


def pytest_configure(config):
    """`-m quick` is the subset for a smoke test."""
    config.addinivalue_line("markers", "quick: small arrays, all of them in under a minute")
