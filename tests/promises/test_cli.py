"""``python -m nllkern``: what it shows, its exit status, its options."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from cases import WITHOUT_HESS

import nllkern as nk
from nllkern import __main__ as cli
from nllkern import _selfcheck, _selfcheck_data, _speed, reference
from nllkern._engine import use_simd_level
from nllkern._losses import loss_infos


def command(*options, **environment):
    return subprocess.run(
        [sys.executable, "-m", "nllkern", *options],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )


@pytest.fixture
def short(monkeypatch):
    """One SIMD level, few classes, tiny measurements: for what only concerns the display."""
    monkeypatch.setattr(_selfcheck, "simd_levels", lambda: nk.simd_levels()[:1])
    monkeypatch.setattr(cli, "simd_levels", lambda: nk.simd_levels()[:1])
    monkeypatch.setattr(_selfcheck_data, "CLASSES", (2, 5, 17))
    monkeypatch.setattr(_speed, "best_time", lambda call, seconds: 1e-3)


def only(monkeypatch, *names):
    """Leaves the command these losses."""
    infos = [info for info in loss_infos() if info.name in names]
    for module in (_selfcheck, _selfcheck_data, _speed):
        monkeypatch.setattr(module, "loss_infos", lambda: infos)


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self, stream):
        self.stream = stream

    def isatty(self):
        return True

    def __getattr__(self, name):
        return getattr(self.stream, name)


def test_whole_command_passes():
    done = command("--quick", "--threads", "1")
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    assert "\033" not in done.stdout
    assert "\r" not in done.stdout
    assert re.search(r"^threads: +1$", done.stdout, re.MULTILINE)
    assert re.search(r"^All \d+ checks on .* passed\.$", done.stdout, re.MULTILINE)
    for loss in nk.losses():
        for dtype in ("float32", "float64"):
            lines = re.findall(rf"^  {loss.name} +{dtype} .*", done.stdout, re.MULTILINE)
            assert len(lines) >= 3  # inputs, bits, speed
        for link in loss.links:
            assert re.search(rf"^  {loss.name} .*link {link} .* ok$", done.stdout, re.MULTILINE)


def test_json_is_all_there_is(short, capsys):
    assert cli.main(["--quick", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert found.keys() == {"config", "limit", "checks", "speed", "passed"}
    assert found["passed"] is True
    assert found["config"]["nllkern"] == nk.__version__
    assert {c["loss"] for c in found["checks"]} == {loss.name for loss in nk.losses()}
    for c in found["checks"]:
        assert c.keys() == {
            *("loss", "dtype", "case", "level", "samples", "error", "worst", "passed")
        }
        assert c["passed"] is True
        assert 0 <= c["error"] <= found["limit"]
        assert c["samples"] > 0
    assert len(found["speed"]) == 2 * len(nk.losses())
    for s in found["speed"]:
        assert s.keys() == {
            *("loss", "dtype", "elements", "gb", "seconds", "gb_per_s"),
            *("numpy", "numpy_share", "numpy_seconds", "numpy_gb_per_s"),
        }
        assert s["numpy"] in ("formula", "reference")
        assert s["gb_per_s"] == pytest.approx(s["gb"] / s["seconds"])


def test_every_level_is_checked():
    found = {r.level for row in list_of_first_rows() for r in row}
    assert found == set(nk.simd_levels())


def list_of_first_rows():
    rows = [r for r in _selfcheck_data.rows(quick=True) if r.loss == "binary_cross_entropy"]
    return [_selfcheck.check_row(r, nk.simd_levels()) for r in rows]


def wrong(name, spoil):
    """The reference of that name with ``spoil`` applied to its samples."""
    right = reference.LOSSES[name]

    def samples(*args, **kwargs):
        return spoil(right.samples(*args, **kwargs))

    samples.__name__ = name
    made = type(right)(samples, right.parameters, right.links)
    made.__signature__ = right.__signature__
    return made


def spoil_value(s):
    return s._replace(value=s.value * (1 + 1e-4))


def spoil_hess(s):
    """By an amount too, since some are 0 everywhere."""
    return s._replace(hess=tuple(None if h is None else h * (1 + 1e-4) + 1e-4 for h in s.hess))


def spoil_one_grad(s):
    grad = list(s.grad)
    at = max(k for k, g in enumerate(grad) if g is not None)
    last = grad[at]
    spoilt = (lambda weight: nan_at_end(last(weight))) if callable(last) else nan_at_end(last)
    grad[at] = spoilt
    return s._replace(grad=tuple(grad))


def nan_at_end(x):
    x = x.copy()
    x.ravel()[-1:] = np.nan
    return x


def spoils():
    for loss in nk.losses():
        yield pytest.param(loss, spoil_value, id=f"{loss.name}-value")
        yield pytest.param(loss, spoil_one_grad, id=f"{loss.name}-grad")
        if loss.name not in WITHOUT_HESS:
            yield pytest.param(loss, spoil_hess, id=f"{loss.name}-hess")


@pytest.mark.parametrize(("loss", "spoil"), list(spoils()))
def test_difference_fails(loss, spoil, short, monkeypatch, capsys):
    only(monkeypatch, loss.name, "binary_cross_entropy", "squared_error")
    monkeypatch.setattr(reference, loss.name, wrong(loss.name, spoil))
    assert cli.main(["--quick"]) == 1
    out = capsys.readouterr().out
    failed = re.findall(r"^  (\w+) .*FAILED$", out, re.MULTILINE)
    assert failed
    assert set(failed) == {loss.name}
    assert re.search(r"^\d+ of \d+ checks on .* FAILED$", out, re.MULTILINE)
    assert re.search(r"^    \S+: \S.*got .*, exact ", out, re.MULTILINE)


def test_failure_in_json(short, monkeypatch, capsys):
    only(monkeypatch, "gamma_nll", "gaussian_nll")
    monkeypatch.setattr(reference, "gamma_nll", wrong("gamma_nll", spoil_one_grad))
    assert cli.main(["--quick", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is False
    assert {c["loss"] for c in found["checks"] if not c["passed"]} == {"gamma_nll"}
    assert None in [c["error"] for c in found["checks"]]


def test_bar_and_colours_on_a_terminal_only(short, monkeypatch, capsys):
    only(monkeypatch, "huber", "gamma_nll")
    monkeypatch.setattr(sys, "stdout", Terminal(sys.stdout))
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli.main(["--quick"]) == 0
    captured = capsys.readouterr()
    assert "\033[32mok\033[0m" in captured.out
    assert "checking" in captured.err
    assert "measuring" in captured.err
    assert captured.err.endswith("\r\033[K")  # nothing of the bar is left

    monkeypatch.setenv("NO_COLOR", "1")
    assert cli.main(["--quick"]) == 0
    captured = capsys.readouterr()
    assert "\033" not in captured.out
    assert "checking" in captured.err

    monkeypatch.setenv("TERM", "dumb")
    assert cli.main(["--quick"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("value", ["0", "-1", "1025", "two"])
def test_bad_thread_count(value, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--threads", value])
    assert stopped.value.code == 2
    assert "--threads" in capsys.readouterr().err


def test_threads_holds_for_the_run_only(short, monkeypatch, capsys):
    only(monkeypatch, "huber")
    before = nk.get_num_threads()
    assert cli.main(["--quick", "--json", "--threads", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["threads"] in (1, 3)  # 1 without OpenMP
    assert nk.get_num_threads() == before


def test_help(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert all(option in out for option in ("--quick", "--threads", "--json"))


def test_forced_level_is_shown():
    level = nk.simd_levels()[0]
    source = "import nllkern; nllkern.show_config()"
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        env={**os.environ, "NLLKERN_SIMD": level},
        check=True,
    )
    assert re.search(rf"^SIMD level: +{level}$", done.stdout, re.MULTILINE)


def test_only_numpy_is_needed():
    """No module of the command imports anything but NumPy and the standard library."""
    source = "import sys, nllkern.__main__; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert not packages & {"scipy", "rich", "mpmath", "torch", "sklearn", "typing_extensions"}


def test_formulas_are_those_of_the_losses():
    """What NumPy is timed on is the same thing."""
    rows = {info.name: info for info in _speed.loss_infos()}
    for name, formula in _speed.FORMULAS.items():
        loss = getattr(nk, name)
        args = _speed.inputs(rows[name], "float64", 5000)
        options = {"link": "softplus"} if loss.links else {}
        value, grad = loss.value_and_grad(*args, **options)
        got_value, got_grad = formula(*args)
        assert got_value == pytest.approx(value, rel=1e-10)
        np.testing.assert_allclose(got_grad, grad, rtol=1e-9, atol=1e-15)


def test_levels_are_really_switched():
    with use_simd_level(nk.simd_levels()[0]):
        assert nk._show.config()["SIMD level"] == nk.simd_levels()[0]
