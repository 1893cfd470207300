"""Options, markers and the report of the pytest-benchmark suite."""

import pytest

from .peers import LIMITS, OURS, PEERS

# torch.compile needs some ten seconds a cell before the first call: only when asked for.
USUAL = [name for name in PEERS if name not in (*LIMITS, "torch_compile")]
COLUMNS = ["min", "median", "rounds"]


def pytest_addoption(parser):
    parser.addoption(
        "--peers",
        nargs="+",
        choices=[name for name in PEERS if name not in LIMITS],
        default=USUAL,
        help=f"libraries beside each other, where installed (default: {' '.join(USUAL)})",
    )


def pytest_configure(config):
    """`-m quick` is the subset for a smoke test; fewer columns than pytest-benchmark's own."""
    config.addinivalue_line("markers", "quick: small arrays, all of them in under a minute")
    chosen = any(str(a).startswith("--benchmark-columns") for a in config.invocation_params.args)
    if hasattr(config.option, "benchmark_columns") and not chosen:
        config.option.benchmark_columns = COLUMNS


@pytest.hookimpl(optionalhook=True, hookwrapper=True)
def pytest_benchmark_group_stats():
    """Rates beside the names, as columns; also of runs saved before (--benchmark-compare)."""
    outcome = yield
    for _, benchmarks in outcome.get_result():
        width = max(len(b["extra_info"].get("who", "")) for b in benchmarks)
        for b in benchmarks:
            extra = b["extra_info"]
            if "GB/s" in extra:
                rates = f"{extra['GB/s']:9.2f} GB/s {extra['elements/s'] / 1e6:10.1f} M elements/s"
                b["name"] = f"{extra['who']:<{width}}{rates}"


def is_installed(name):
    """Whether the peer's library can be imported."""
    from .peers import load

    try:
        load(name)
    except ImportError:
        return name == OURS  # whose absence the suite reports itself
    return True
