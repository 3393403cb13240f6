// What scrolls must be reachable by keyboard: boxes wider than the page become focusable.
(function () {
  const wide = [
    "div.highlight pre",
    "div.math",
    "mjx-container",
    ".qkd-figure",
    ".pst-scrollable-table-container",
    ".cell_output .text_html",
  ].join(",");

  function markScrollable() {
    for (const box of document.querySelectorAll(wide)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1;
      const marked = box.dataset.bookScrolls === "1";
      if (scrolls && !marked && !box.hasAttribute("tabindex")) {
        box.dataset.bookScrolls = "1";
        box.tabIndex = 0;
      } else if (!scrolls && marked) {
        delete box.dataset.bookScrolls;
        box.removeAttribute("tabindex");
      }
    }
  }

  window.addEventListener("resize", markScrollable);
  window.addEventListener("load", () => {
    const typeset = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
    Promise.resolve(typeset).then(markScrollable);
  });
})();
