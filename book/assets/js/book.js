// What scrolls must be reachable by keyboard: boxes wider than the page become focusable.
(function () {
  const wide = [
    "div.highlight pre",
    "mjx-container[display=true]",
    "mjx-container.book-wide",
    ".qkd-figure",
    ".pst-scrollable-table-container",
    ".cell_output .text_html",
  ].join(",");

  // Mathematics within a line scrolls only where it is wider than its paragraph.
  function markWide() {
    for (const box of document.querySelectorAll("mjx-container:not([display=true])")) {
      const block = box.closest("p, li, dd, td, th, figcaption, div");
      box.classList.remove("book-wide");
      // A block that is laid out inline, as in the list of contents, reports no width of its own.
      const room = block.clientWidth || Infinity;
      box.classList.toggle("book-wide", box.getBoundingClientRect().width > room + 1);
    }
  }

  function markScrollable() {
    markWide();
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

  // The theme's switches that unfold a page's own pages in the contents have no name.
  for (const fold of document.querySelectorAll(".bd-links summary")) {
    fold.setAttribute("aria-label", "Pages of " + fold.parentElement.previousElementSibling.textContent);
  }

  window.addEventListener("resize", markScrollable);
  window.addEventListener("load", () => {
    const typeset = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
    Promise.resolve(typeset).then(markScrollable);
  });
})();
