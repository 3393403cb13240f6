"""What every panel is: a class that packs and draws its content, and a script that moves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from qkdlib.explore.controls import select


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A part of an explorer's figure. A new kind of panel is a subclass and its script.

    The subclass is a frozen dataclass of what the panel shows for every grid point. `pack_content`
    turns that into plain data, once; from these the script draws in the page, and `still` the picture
    that stands where no script runs.

    Class attributes:
        kind: The panel's name in the page, a word.
        script: A file (`pathlib.Path`) or the script itself. It calls `register(kind, build)`; what
            it may import is in `kit.js`, which also says what `build` gets and returns.

    Args:
        title: Heading; also the name under which live training reports the panel's values.
        over: Names of the controls that the panel depends on, by default all. The others neither need
            an axis nor cost weight in the page.
        half: Whether the panel takes half the width where there is room for two.
    """

    kind: ClassVar[str]
    script: ClassVar[Path | str]

    title: str = ""
    over: Sequence[str] | None = None
    half: bool = False

    def pack_content(self, controls):
        """The panel's content as plain data (numbers, texts, lists, dicts).

        Args:
            controls: The controls of `over`; arrays have one leading axis for each.

        Returns:
            A dict. What `pack_array` packed under the key "values" is replaced by what a live run
            reports.

        Raises:
            TypeError, ValueError: Something cannot be drawn; the message names it.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method pack_content")

    def still(self, packed, cell):
        """The panel for one cell as SVG, drawn with `qkdlib.explore.pen`.

        Args:
            packed: What `pack` returned.
            cell: Which grid point; `at(packed["values"], cell)` are its numbers.

        Returns:
            (height, text): the picture is `pen.WIDTH` wide and begins at (0, 0).
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method still")

    def pack(self, controls):
        """The panel as the page's script reads it.

        Args:
            controls: All controls of the explorer.
        """
        chosen, positions = select(self.over, controls)
        head = {"kind": self.kind, "title": str(self.title), "half": bool(self.half)}
        return head | {"over": positions} | self.pack_content(chosen)
