"""The engine as text for a page: engine.js and its kernels, without comments and needless spaces."""

import re
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_TEXTS = re.compile(r'("[^"\n]*"|`[^`]*`)')  # left as they are
_SPACES = re.compile(r" ?([-=+*<>,;:{}()?&|!%^/\[\]]) ?")

_LINES = re.compile(r"(?<=[;{,(\[=?:&|])\n|\n(?=[}\])])")  # where no line's end is needed


@cache
def page_script():
    """JavaScript that defines `qkdEngine` and `qkdKernels`: qkdEngine(qkdKernels) is an engine."""
    return f"{(_HERE / 'kernels.js').read_text()}{compact((_HERE / 'engine.js').read_text())}"


def compact(source):
    """JavaScript without comments that have a line or its end to themselves, indents and spaces."""
    lines = [re.sub(r"(^|\s+)// .*$", "", line).strip() for line in source.splitlines()]
    text = "\n".join(line for line in lines if line and line != "//")
    parts = _TEXTS.split(text)
    tight = (p if k % 2 else _LINES.sub("", _SPACES.sub(r"\1", p)) for k, p in enumerate(parts))
    return "".join(tight) + "\n"
