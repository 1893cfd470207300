"""Write the README's table of losses anew: ``python tools/loss_table.py``, with nllkern installed.

A line a loss: how it is called, the first sentence of its docstring, its options.
"""

import re
from pathlib import Path

import nllkern as nk
from nllkern.tables import LOSSES

README = Path(__file__).resolve().parents[1] / "README.md"


def line(row) -> str:
    """The line of one loss."""
    loss = getattr(nk, row.name)
    words = {"link": f" ({', '.join(loss.links)})"}
    options = ", ".join(f"`{x.name}`{words.get(x.name, '')}" for x in row.options)
    what = loss.__doc__.partition(".\n")[0].replace("\n", " ")
    return f"| `{row.name}({', '.join(row.arguments)})` | {what} | {options} |"


def main() -> None:
    table = "\n".join(
        ["| loss | what it is | options |", "| --- | --- | --- |", *map(line, LOSSES)]
    )
    text = README.read_text("utf-8")
    marked = re.sub(
        r"(<!-- losses -->\n).*?(\n\n)", lambda m: m[1] + table + m[2], text, flags=re.DOTALL
    )
    README.write_text(marked, "utf-8")


if __name__ == "__main__":
    main()
