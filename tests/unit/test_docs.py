"""Docstrings and type stubs say what the losses are."""

import ast
import doctest
import inspect
import re
from importlib import resources
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from textwrap import dedent

import pytest

import nllkern as nk

LOSSES = pytest.mark.parametrize("loss", nk.losses(), ids=lambda loss: loss.name)
PACKAGE = Path(nk.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
REFERENCE = "\n".join(page.read_text() for page in sorted((DOCS / "api").glob("*.rst")))
takes_stdout = pytest.mark.thread_unsafe(reason="doctest sets sys.stdout")
SECTIONS = ["Parameters", "Returns", "Raises", "Notes", "References", "Examples"]


def module(path):
    """The module of a file outside the package."""
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def section(text, title):
    """The lines below a numpydoc heading."""
    after = text.split(f"{title}\n{'-' * len(title)}\n", 1)[1]
    return re.split(r"\n[A-Z][a-z]+\n-{5,}\n", after)[0]


@LOSSES
def test_sections(loss):
    found = re.findall(r"^(\w+)\n-{5,}$", loss.__doc__, re.MULTILINE)
    assert found == SECTIONS
    assert "$" not in loss.__doc__
    assert max(map(len, loss.__doc__.splitlines())) <= 100


@LOSSES
def test_every_argument_is_documented_in_order(loss):
    documented = re.findall(r"^(\w+) :", section(loss.__doc__, "Parameters"), re.MULTILINE)
    assert documented == list(inspect.signature(loss).parameters)


@LOSSES
def test_call_line_is_the_signature(loss):
    """The defaults shown are the real ones."""
    shown = re.search(r"loss\((.*?),\s+<common keywords>\)", loss.__doc__, re.DOTALL)[1]
    parameters = inspect.signature(loss).parameters
    own = [p for p in parameters.values() if p.name not in COMMON]
    words = [p.name for p in own if p.kind is p.POSITIONAL_ONLY] + ["*"]
    for p in own:
        if p.kind is p.KEYWORD_ONLY:
            words.append(p.name if p.default is p.empty else f"{p.name}={p.default!r}")
    assert re.sub(r"\s+", " ", shown) == ", ".join(words).replace("'", '"')


COMMON = {"reduction", "sample_weight", "normalizer", "out", "num_threads", "check"}


@LOSSES
def test_links_are_documented(loss):
    for link in loss.links:
        assert f'``"{link}"``' in loss.__doc__
        assert f'"{link}"' in section(loss.__doc__, "Parameters")


# The formulas of docstrings, as the pages typeset them.


@pytest.fixture(scope="module")
def formulas():
    return module(DOCS / "extensions" / "formulas.py")


@LOSSES
def test_formulas_are_read(loss, formulas):
    """Each displayed one, with its braces and brackets in pairs."""
    called, *blocks = re.findall(r"::\n\n((?: {4}.*\n|\n)+)", loss.__doc__ + "\n")
    assert called.startswith("    loss(")
    assert blocks
    for latex in (x for block in blocks for x in formulas.displayed(dedent(block))):
        assert latex.count(r"\left") == latex.count(r"\right")
        depth = 0
        for brace in re.findall(r"[{}]", latex):
            depth += 1 if brace == "{" else -1
            assert depth >= 0
        assert depth == 0


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("-z / sigma", r"- z / \sigma"),
        ("2 w z^2 nu / (nu + z^2)", r"2 w z^{2} \nu / (\nu + z^{2})"),
        ("sum_k t_k", r"\sum_{k} t_{k}"),
        ("max(0, |a - b|)", r"\max(0 ,\; |a - b|)"),
        ("2 z_loss s'_k^2", r"2\,\mathrm{z\_loss}\,{s'_{k}}^{2}"),
        ("|L^-1 e_i|^2", r"|L^{- 1} e_{i}|^{2}"),
        ("sqrt(2) b", r"\sqrt{2} b"),
        ("d2/dlogsigma2", r"\frac{\partial^2 \mathrm{value}}{\partial (\log \sigma)^2}"),
        ("y z < 1, else 0", r"y z < 1 ,\; \text{else}\ 0"),
    ],
)
def test_formulas_within_text(text, latex, formulas):
    assert formulas.inline(text) == latex


def test_fractions(formulas):
    """x/y binds more than a product, x / y less; what they divide needs no parentheses."""
    (found,) = formulas.displayed("value = (nu + 1)/2 log(z) + a b / (c - 1)    (only if full)\n")
    value, half, last = r"\mathrm{value}", r"\frac{\nu + 1}{2}", r"\frac{a b}{c - 1}"
    line = rf"{value} & = {half} \log(z) + {last} & \qquad & \text{{(only if full)}}"
    assert found == rf"\begin{{aligned}}{line}\end{{aligned}}"


@pytest.mark.parametrize(
    "text",
    ["full", "delta=e", '"log"', "loss.grad(...)", "log_cosh", "sgima", "(a", "a )", "a * b"],
)
def test_code_is_no_formula(text, formulas):
    with pytest.raises(ValueError, match=r"\w"):
        formulas.inline(text)


@LOSSES
@takes_stdout
def test_examples(loss):
    test = doctest.DocTestParser().get_doctest(loss.__doc__, {}, loss.name, None, 0)
    assert test.examples
    log = []
    doctest.DocTestRunner().run(test, out=log.append)
    assert not log, "".join(log)


# The pages.


PAGES = sorted(DOCS.rglob("*.rst"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@takes_stdout
def test_examples_of_the_pages(page):
    log = []
    text = page.read_text()
    test = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=log.append)
    assert not log, "".join(log)


def test_every_loss_is_on_the_pages():
    """By its family in the reference, and in the table of all losses."""
    sections = re.findall(r"^\.\. losses:: (\w+)$", REFERENCE, re.MULTILINE)
    source = (DOCS / "extensions" / "loss_pages.py").read_text()
    body = next(n for n in ast.parse(source).body if getattr(n, "name", "") == "family")
    names: dict = {}
    exec(ast.unparse(body), names)
    assert sorted({names["family"](loss.row) for loss in nk.losses()}) == sorted(sections)
    assert ".. loss-table::" in (DOCS / "which_loss.rst").read_text()


def public_functions():
    return [getattr(nk, name) for name in nk.__all__ if inspect.isroutine(getattr(nk, name))]


@pytest.mark.parametrize("function", public_functions(), ids=lambda f: f.__name__)
def test_functions_have_docstrings(function):
    assert function.__doc__


# The README and the quick start.


def shown(page):
    """The Python programs of a page; the output that it shows after each, if it does."""
    pattern = r"^```python\n(.*?)^```$(?:\n\n^```\n(.*?)^```$)?"
    return re.findall(pattern, page.read_text(), re.MULTILINE | re.DOTALL)


def test_readme_runs(capsys):
    ((program, output),) = shown(README)
    exec(program, {})
    assert capsys.readouterr().out == output
    assert len([line for line in program.splitlines() if line]) <= 10


def test_quick_start_runs():
    *programs, _ = shown(DOCS / "quickstart.md")
    assert len(programs) == 2
    names = {}
    for program, _ in programs:
        exec(program, names)
    assert names["d_mean"].shape == names["mean"].shape
    assert isinstance(names["d_raw"], float)


def test_worked_example_prints_what_is_shown(capsys):
    pytest.importorskip("sklearn")
    program, output = shown(DOCS / "quickstart.md")[-1]
    exec(program, {})
    fit, difference = capsys.readouterr().out.splitlines()
    assert fit == output.splitlines()[0]
    assert float(difference.split()[-1]) < 1e-4  # its last digits are the optimizer's
    assert float(output.split()[-1]) < 1e-4


def test_install_commands_are_marked():
    """The continuous integration runs what follows these marks."""
    for mark in ("install command", "test command"):
        assert re.search(
            rf"^<!-- {mark} -->\n```sh\npython3 -m venv ", README.read_text(), re.MULTILINE
        )


def test_losses_of_the_readme_are_those_of_the_rows():
    """Each line is what tools/loss_table.py writes; a newer loss may be missing."""
    tool = module(ROOT / "tools" / "loss_table.py")
    table = README.read_text().partition("<!-- losses -->\n")[2].partition("\n\n")[0].splitlines()
    assert len(table) > 20
    assert {*table[2:]} <= {tool.line(loss.row) for loss in nk.losses()}


def test_every_public_function_is_in_the_quick_start():
    text = (DOCS / "quickstart.md").read_text()
    for name in {*nk.__all__} - {loss.name for loss in nk.losses()}:
        assert name in text or name.startswith("_")


# The stubs.


@pytest.fixture(scope="module")
def stub():
    """Name -> class of the stub file."""
    text = (resources.files("nllkern") / "_losses.pyi").read_text()
    return {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}


@LOSSES
@pytest.mark.parametrize("method", ["__call__", "value_and_grad", "grad", "value_grad_hess"])
def test_stub_has_the_signature_of_the_loss(loss, method, stub):
    overloads = [n for n in stub[f"_{loss.name}"].body if getattr(n, "name", "") == method]
    assert overloads or (method == "value_grad_hess" and not loss.row.has_hess)
    called = loss if method == "__call__" else getattr(loss, method)
    parameters = inspect.signature(called).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for overload in overloads:
        assert [a.arg for a in overload.args.posonlyargs] == ["self", *positional]
        named = [a.arg for a in overload.args.kwonlyargs]
        assert named == [k for k in keywords if k != "out" or method != "__call__"]


def test_contributing_shows_the_files():
    """The example is what stands in the files that it names."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition("## Add a pointwise loss")[2].partition("\n## ")[0]
    paths = [path for path in (ROOT / "src").rglob("*") if path.suffix in (".h", ".inc", ".py")]
    sources = [path.read_text() for path in paths]
    blocks = re.findall(r"^```(?:c|python|text)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        assert any(block in source for source in sources), block


def test_package_is_typed():
    assert (PACKAGE / "py.typed").exists()
