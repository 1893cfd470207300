r"""LaTeX of the formulas in docstrings, which are written to be read as plain text.

A product is factors side by side, ``2 pi x``.  ``x / y`` binds less than they do, ``x/y`` more.
``s'_k``, ``l_{N+i}``, ``t^(p-1)``, ``L^T`` have subscripts and powers.  ``|a - b|`` is a size or a
norm, ``q . k`` a dot product; ``d/dmu`` and ``d2/dlogsigma2`` are derivatives of the value.  The
words of TEXT, and those in quotes, are text; a word that is nowhere below is an error.  A displayed
formula has lines of equations and remarks, two spaces apart; an indented line continues the last.
"""

import re

from nllkern.tables import LOSSES

TEXT = "where|beyond|if|else|for each class|for|or|without|whose term is positive"
ARGUMENTS = {name for row in LOSSES for name in [*row.arguments, *(x.name for x in row.options)]}
WORDS = {"value", "grad", "hess", "lse", "link", "df_link"} | {x for x in ARGUMENTS if len(x) > 1}
NAMES = {
    **{name: rf"\mathrm{{{name}}}".replace("_", r"\_") for name in WORDS},
    **{x: f"\\{x}" for x in ("log", "exp", "tanh", "cosh", "max", "min", "sum", "sqrt")},
    **{x: f"\\{x}" for x in ("delta", "theta", "mu", "nu", "pi", "sigma", "tau")},
    **{x: rf"\operatorname{{{x}}}" for x in ("sign", "softplus", "sigmoid", "softmax")},
    **{"lgamma": r"\log\Gamma", "digamma": r"\psi", "trigamma": r"\psi'", "inf": r"\infty"},
}
SIGNS = {sign: sign for sign in "=<>+-"} | {
    **{"<=": r"\le", ">=": r"\ge", "!=": r"\ne", "~": r"\approx"},
    **{".": r"\cdot", ",": r",\;"},
}
TRANSPOSED = r"\mathsf{T}"
FACTOR = "factor"  # nothing between two factors
BINDING = {"+": 1, "-": 1, " /": 2, ".": 3, FACTOR: 3, "/": 4, "^": 5, "_": 5}  # of all others: 0
LONG = "".join(f"{name}|" for name in sorted(NAMES, reverse=True) if "_" in name)
TOKEN = re.compile(
    r"\s*(?:(?P<d>d2?)(?P<of>(?:\|x\|)?)/d(?P<log>(?:log)?)(?P<by>[A-Za-z]+(?:_[a-z]+)?)(?:\^?2)?"
    rf'|(?P<text>(?:{TEXT})\b)|"(?P<quoted>\w+)"|(?P<number>\d+(?:\.\d+)?)'
    rf"|(?P<word>{LONG}[A-Za-z]+)'*|_(?P<subscript>\{{[^}}]*\}}|\w+)|(?P<sign><=|>=|!=|\S))"
)


class Group(str):
    """Something in parentheses: fractions and powers take what is inside."""

    def __new__(cls, inside, pair="()"):
        left, right = (r"\left", r"\right") if re.search(r"\\(frac|sum)", inside) else ("", "")
        self = super().__new__(cls, f"{left}{pair[0]}{inside}{right}{pair[1]}")
        self.inside = inside
        return self


def inside(latex):
    return getattr(latex, "inside", latex)


class Reader:
    """Reads a formula by how closely its operators bind; fractions have a bar if `tall`."""

    def __init__(self, text, tall=False):
        self.tokens, self.at, self.in_bars = list(TOKEN.finditer(text.rstrip(" ,"))), 0, False
        self.tall = tall

    def formula(self, least=0):
        """The LaTeX of all that binds at least as closely as that."""
        left = self.operand(least)
        while (infix := self.infix()) and (binding := BINDING.get(infix, 0)) >= least:
            token = self.tokens[self.at]
            self.at += infix != FACTOR
            if infix == "_":
                left += f"_{{{subscript(token['subscript'])}}}"
            elif token["text"]:
                left += rf"\text{{ {token['text']}}}"
                left += r"\ " + self.formula(1) if self.infix() == FACTOR else ""
            elif infix == FACTOR:
                right = self.formula(binding + 1)
                left += (r"\," if r"\mathrm" in left + right else " ") + right
            elif infix == "^":
                power = inside(self.formula(binding + 1))
                left = f"{{{left}}}" if "'" in left else left  # a prime is an exponent
                left += f"^{{{power.replace('T', TRANSPOSED)}}}"
            elif infix in ("/", " /"):
                right = self.formula(binding + 1)
                bar = rf"\frac{{{inside(left)}}}{{{inside(right)}}}"
                left = bar if self.tall else f"{left} / {right}"
            elif infix in SIGNS:
                left += f" {SIGNS[infix]} {self.formula(binding + 1)}"
            else:
                raise ValueError(f"unexpected {infix!r} in a formula")
        return left

    def infix(self):
        """What stands between the operand that was read and the next; None if none follows."""
        if self.at == len(self.tokens):
            return None
        token = self.tokens[self.at]
        sign = token[0].strip()
        if token["text"] or token["subscript"]:
            return "_" if token["subscript"] else sign
        if sign in (")", "]") or (sign == "|" and self.in_bars):
            return None
        if sign == "/":
            return "/" if token[0] == "/" else " /"
        return sign if token["sign"] and sign not in ("(", "[", "|") else FACTOR

    def operand(self, least):
        if self.at == len(self.tokens):
            raise ValueError("a formula ends too early")
        token = self.tokens[self.at]
        sign = token[0].strip()
        self.at += 1
        if token["number"] or token["quoted"]:
            return token["number"] or rf"\texttt{{{token['quoted']}}}"
        if token["text"]:
            rest = r"\ " + self.formula(1) if self.infix() == FACTOR else ""
            return rf"\text{{{sign}}}{rest}"
        if token["d"]:
            return derivative(**token.groupdict())
        if token["word"]:
            return self.named(sign, token["word"])
        if sign in ("+", "-"):
            return f"{sign} {self.formula(max(least, 2))}"
        pairs = {"(": "()", "[": "[]", "|": r"||"}
        if sign not in pairs:
            raise ValueError(f"unexpected {sign!r} in a formula")
        outside, self.in_bars = self.in_bars, sign == "|"
        latex, self.in_bars = self.formula(), outside
        if self.at == len(self.tokens) or self.tokens[self.at][0].strip() != pairs[sign][1]:
            raise ValueError(f"{pairs[sign][1]!r} is missing in a formula")
        self.at += 1
        return Group(latex) if sign == "(" else str(Group(latex, pairs[sign]))

    def named(self, sign, word):
        if len(word) > 1 and word not in NAMES:
            raise ValueError(f"{word!r} in a formula is not in docs/extensions/formulas.py")
        latex = NAMES.get(word, word) + sign[len(word) :]
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "(":  # of a function
            argument = self.operand(0)
            return rf"\sqrt{{{inside(argument)}}}" if word == "sqrt" else latex + argument
        return latex


def read(text, tall=False):
    reader = Reader(text, tall)
    latex = reader.formula()
    if reader.at < len(reader.tokens):
        raise ValueError(f"unexpected {reader.tokens[reader.at][0].strip()!r} in {text!r}")
    return latex


def derivative(d, of, log, by, **_):
    order, by = "^2" if d == "d2" else "", read(by)
    by = by + order if not log else rf"(\log {by})^2" if order else rf"\log {by}"
    return rf"\frac{{\partial{order} {of or NAMES['value']}}}{{\partial {by}}}"


def subscript(text):
    """Two letters are two indices."""
    if text[0] == "{":
        return read(text[1:-1])
    if len(text) > 2 and text not in WORDS:
        raise ValueError(f"unexpected subscript {text!r} in a formula")
    return NAMES.get(text, text)


def inline(text):
    """The LaTeX of a formula within text; ValueError for what is code."""
    if text in WORDS or re.search(r'\w=|"', text):
        raise ValueError(f"{text!r} is an argument")
    return read(text)


def displayed(text):
    """The LaTeX of each paragraph of a displayed formula."""
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        lines = re.sub(r" += ", " = ", re.sub(r"^ +", "&", paragraph, flags=re.MULTILINE))
        rows = (re.split(r"\s{2,}", line.rstrip()) for line in lines.splitlines())
        body = r" \\[3pt] ".join(r" & \qquad ".join(map(columns, row)) for row in rows)
        yield rf"\begin{{aligned}}{body}\end{{aligned}}"


def columns(cell):
    """An equation, in two columns; in the second of them a continued line, text or a remark."""
    if re.fullmatch(r"\([A-Za-z]+( [A-Za-z]+)+\)", cell):
        return rf"& \text{{{cell}}}"
    left, equals, right = cell.partition(" = ")
    if not equals or re.search(rf"\b({TEXT})\b", left):
        indent = r"\phantom{{}={}}" if cell[0] == "&" else ""
        return rf"& {indent} {read(cell.strip('& '), tall=True)}"
    return " & = ".join(read(side, tall=True) for side in (left, right))
