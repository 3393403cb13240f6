"""One palette and one look for every figure, the same as the published page's.

A colour stands for a role, on every page and in every figure: the teacher is blue, the student
orange, a control grey. The three differ for readers with any of the common colour deficiencies
and reach a contrast of 4.5 against the page. `fourth` and `fifth` are for further curves and mean
nothing. `book/assets/css/book.css` holds the same values under the same names; the page build
replaces the light ones in a figure by the page's variables, so figures follow its theme.
"""

from __future__ import annotations

from pathlib import Path

COLOURS = {
    "teacher": "#1d5ea8",
    "student": "#b8480b",
    "control": "#6a6f78",
    "fourth": "#1f4a24",
    "fifth": "#5a1a6b",
    "ink": "#1e2329",
    "muted": "#5c636d",
    "grid": "#d9d5cc",
    "raised": "#f5f3ee",
    "paper": "#fdfcfa",
}
"""Light theme: role -> hex colour."""

COLOURS_DARK = {
    "teacher": "#7fb4f2",
    "student": "#f39a5b",
    "control": "#a4aab3",
    "fourth": "#c9e26b",
    "fifth": "#a66be0",
    "ink": "#dde1e6",
    "muted": "#a3aab4",
    "grid": "#363c45",
    "raised": "#1d2127",
    "paper": "#15181d",
}
"""Dark theme: the same roles."""

CYCLE = ("teacher", "student", "control", "fourth", "fifth")
"""Roles in the order in which unnamed curves take them."""

SEQUENTIAL = "book_sequential"
DIVERGING = "book_diverging"


def _register_fonts() -> str:
    """Makes the book's font known to matplotlib; returns the family's name."""
    from matplotlib import font_manager

    known = {entry.name for entry in font_manager.fontManager.ttflist}
    if "Book Sans" not in known:
        for path in sorted((Path(__file__).parent / "fonts").glob("*.ttf")):
            font_manager.fontManager.addfont(path)
    return "Book Sans"


def _register_colormaps() -> None:
    """Registers one map for magnitudes and one for signed values, in the palette's colours."""
    import matplotlib as mpl
    from matplotlib.colors import LinearSegmentedColormap

    maps = {
        SEQUENTIAL: [COLOURS["raised"], "#a9c4e0", COLOURS["teacher"], "#0d2748"],
        DIVERGING: [COLOURS["teacher"], "#9dbbdc", COLOURS["raised"], "#e3b08f", COLOURS["student"]],
    }
    for name, colours in maps.items():
        if name not in mpl.colormaps:
            mpl.colormaps.register(LinearSegmentedColormap.from_list(name, colours))


def use_style() -> None:
    """Sets matplotlib's defaults to the book's look; in a notebook, figures become SVG.

    Axes are of a mid grey that reads on a light and on a dark page, backgrounds are transparent.
    Two runs of the same figure give the same file. The colour maps `SEQUENTIAL` and `DIVERGING`
    are registered under these names.
    """
    import matplotlib as mpl
    from cycler import cycler

    family = _register_fonts()
    _register_colormaps()
    muted = COLOURS["muted"]
    mpl.rcParams.update(
        {
            "font.family": [family, "DejaVu Sans"],
            "font.size": 11,
            "mathtext.fontset": "custom",
            "mathtext.rm": family,
            "mathtext.it": f"{family}:italic",
            "mathtext.bf": f"{family}:bold",
            "mathtext.bfit": f"{family}:bold",
            "mathtext.sf": family,
            "mathtext.cal": f"{family}:italic",
            "mathtext.fallback": "stixsans",
            "figure.figsize": (6.8, 3.4),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none",
            "savefig.facecolor": "none",
            "savefig.transparent": True,
            "axes.facecolor": "none",
            "axes.prop_cycle": cycler(color=[COLOURS[name] for name in CYCLE]),
            "axes.edgecolor": muted,
            "axes.labelcolor": muted,
            "axes.titlecolor": muted,
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "grid.color": COLOURS["grid"],
            "grid.linewidth": 0.7,
            "text.color": muted,
            "xtick.color": muted,
            "ytick.color": muted,
            "xtick.labelsize": "small",
            "ytick.labelsize": "small",
            "legend.frameon": False,
            "legend.fontsize": "small",
            "lines.linewidth": 1.8,
            "lines.markersize": 4.5,
            "lines.solid_capstyle": "round",
            "image.cmap": SEQUENTIAL,
            "image.interpolation": "nearest",
            "svg.fonttype": "path",
            "svg.hashsalt": "qkdlib",
        }
    )
    _figures_as_svg()


def _figures_as_svg() -> None:
    """Asks a notebook's kernel for SVG figures with nothing in them that changes between runs."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    if get_ipython() is None:
        return
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("svg", metadata={"Date": None}, bbox_inches="tight")
