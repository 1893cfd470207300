"""Directives that write down what ``nllkern.losses()`` says, at build time.

``.. losses:: family``           a section for each loss of a family, from its docstring, with
                                 the methods that others do not have
``.. which-loss::``              a row for each loss: its target and links, and what stands above
                                 its docstring
``.. loss-table::``              one row for every loss, linked to its section
``.. reference-losses::``        the docstrings of ``nllkern.reference``
``.. hard-points::``             how many hard points the accuracy tests have for each loss

Formulas of losses, which are literal text in their files, are typeset (formulas.py).  The build
warns if one cannot be read, if a loss has no section, or a section no loss.
"""

import inspect
from importlib.resources import files
from pathlib import Path

import formulas
from docutils import nodes
from docutils.statemachine import StringList
from numpydoc.docscrape_sphinx import SphinxDocString
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import nllkern as nk
from nllkern import _docs
from nllkern._accuracy import load

ROOT = Path(__file__).resolve().parents[2]
LOSSES = {loss.name: loss for loss in nk.losses()}
COMMON = set(dir(nk.losses()[0]))  # what cross_entropy has, every loss has
logger = logging.getLogger(__name__)


class Generated(SphinxDirective):
    """A directive that stands for the reStructuredText of ``lines``."""

    optional_arguments = 100

    def run(self):
        source = self.state_machine.get_source_and_line(self.lineno)[0]
        text = StringList(list(self.lines()), source=source)
        return self.parse_text_to_nodes("\n".join(text), allow_section_headings=True)


def family(row):
    """The page of the API reference that a loss stands on, by the kind of its target."""
    if row.kind in ("vectors", "contrastive"):
        return "vectors"
    if row.kind == "rows":
        return "real" if "real" in row.targets else "classes"
    return {"unit": "binary", "sign": "binary", "real": "real"}.get(row.target.name, "positive")


class Losses(Generated):
    def lines(self):
        names = [name for name, loss in LOSSES.items() if family(loss.row) == self.arguments[0]]
        if not names:
            logger.warning("no loss of %s", self.arguments[0], location=self.get_location())
        for name in names:
            self.env.note_dependency(str(files("nllkern") / "docstrings" / f"{name}.rst"))
            yield from ["", f".. _{name}:", "", name, "-" * len(name), ""]
            yield from [f".. autofunction:: nllkern.{name}", ""]
            for method in sorted(vars(type(LOSSES[name])).keys() - COMMON):
                if not method.startswith("_"):
                    yield from method_lines(name, method)


def method_lines(name, method):
    """Autodoc cannot look a method up in an object that is neither a class nor a module."""
    bound = getattr(LOSSES[name], method)
    yield from [f".. py:function:: nllkern.{name}.{method}{inspect.signature(bound)}", ""]
    text = str(SphinxDocString(inspect.getdoc(bound)))
    yield from (f"   {line}".rstrip() for line in text.splitlines())
    yield ""


SECTIONS = {  # of which_loss.rst, by the support of a target, or by the page of the loss
    "unit": "0 or 1, or a probability <binary>",
    "sign": "-1 or +1 <binary>",
    "positive": "positive number <positive>",
    "nonnegative": "number from 0 on <positive>",
}


def target_of(loss):
    """The target in words, with a link to the section on it."""
    row = loss.row
    if row.kind == "rows" and "real" not in row.targets:
        return f":ref:`class: {' or '.join(row.targets)} <classes>`"
    if row.target is None:
        return ":ref:`none <embeddings>`"
    if row.kind == "vectors":
        return ":ref:`vector in d dimensions <vectors>`"
    return f":ref:`{SECTIONS.get(row.target.name, 'real number <real>')}`"


class WhichLoss(Generated):
    def lines(self):
        yield from [".. list-table::", "   :header-rows: 1", "   :widths: 14 20 24 20 22", ""]
        yield from ["   * - target", "     - assumed distribution, or aim", "     - loss"]
        yield from ["     - prediction from raw outputs", "     - gradient by the raw output"]
        for name, loss in LOSSES.items():
            said = _docs.read(name)[0]
            links = f", link: {', '.join(loss.links)}" if loss.links else ""
            yield from [f"   * - {target_of(loss)}", f"     - {said['chosen for']}"]
            yield from [f"     - :func:`{name}`{links}", f"     - {said['prediction']}"]
            yield f"     - {said['gradient']}"

    def run(self):
        table = super().run()
        for node in [x for part in table for x in part.findall(nodes.literal)]:
            typeset(node)
        return table


class LossTable(Generated):
    def lines(self):
        yield from [".. list-table::", "   :header-rows: 1", "   :widths: auto", ""]
        yield from ["   * - loss", "     - predictions", "     - links", "     - what"]
        for loss in LOSSES.values():
            yield f"   * - :func:`~nllkern.{loss.name}`"
            yield f"     - {', '.join(loss.parameters)}"
            yield f"     - {', '.join(loss.links) or 'none'}"
            yield f"     - {inspect.cleandoc(loss.__doc__).splitlines()[0]}"


class ReferenceLosses(Generated):
    def lines(self):
        for loss in nk.reference.losses():
            signature = inspect.signature(loss)
            yield from [f".. py:function:: nllkern.reference.{loss.name}{signature}", ""]
            yield from ["   ::", ""]
            yield from (f"      {line}" for line in inspect.cleandoc(loss.__doc__).splitlines())
            yield ""


class HardPoints(Generated):
    def lines(self):
        yield from [".. list-table::", "   :header-rows: 1", "   :widths: auto", ""]
        yield from ["   * - loss", "     - sets of options", "     - hard points"]
        for path in sorted((ROOT / "tests" / "golden").glob("*.npz")):
            self.env.note_dependency(str(path))
            tables = list(load(path))
            points = sum(len(t.args[0]) for t in tables)
            yield from [f"   * - {path.stem}", f"     - {len(tables)}", f"     - {points}"]


class Bars(SphinxTransform):
    """|x| in a docstring is an absolute value, not a substitution."""

    default_priority = 200  # before substitutions are made

    def apply(self):
        for node in list(self.document.findall(nodes.substitution_reference)):
            node.replace_self(nodes.Text(node.rawsource))


class Formulas(SphinxTransform):
    """Literals in the docstring of a loss that are formulas are typeset."""

    default_priority = 210  # after the bars

    def apply(self):
        for section in list(self.document.findall(addnodes.desc)):
            if section[0].get("fullname") in LOSSES:
                for node in list(section.findall(nodes.literal_block)):
                    self.display(node)
                for node in list(section.findall(nodes.literal)):
                    typeset(node)

    def display(self, node):
        before = node.parent[node.parent.index(node) - 1]
        if before.astext() == "Called with:":
            return
        try:
            math = [nodes.math_block(x, x, number=None) for x in formulas.displayed(node.astext())]
        except ValueError as error:
            logger.warning("%s: %s", error, node.astext(), location=node)
        else:
            node.replace_self(math)


def typeset(node):
    """Turn a literal that is a formula into one."""
    try:
        latex = formulas.inline(node.astext())
    except ValueError:
        return  # code
    node.replace_self(nodes.math(latex, latex))


def missing(app, env):
    """Every loss has its section."""
    documented = env.domains["py"].objects
    for name in LOSSES:
        if f"nllkern.{name}" not in documented:
            logger.warning("the loss %s has no section in the API reference", name)


def setup(app):
    app.add_directive("losses", Losses)
    app.add_directive("which-loss", WhichLoss)
    app.add_directive("loss-table", LossTable)
    app.add_directive("reference-losses", ReferenceLosses)
    app.add_directive("hard-points", HardPoints)
    app.add_transform(Bars)
    app.add_transform(Formulas)
    app.connect("env-check-consistency", missing)
    return {"parallel_read_safe": True}
