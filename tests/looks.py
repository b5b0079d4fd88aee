"""Checks a page in Chromium: nothing is cut off, and axe-core finds no fault."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe

NARROW = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 800}
GROUNDS = {"light": "rgb(252, 251, 248)", "dark": "rgb(21, 26, 25)"}

# Returns the faults of the layout in words. Hidden elements are left out.
_MISPLACED = """
() => {
  const width = document.documentElement.clientWidth;
  const found = [];
  const sticksOut = document.documentElement.scrollWidth - width;
  if (sticksOut > 0) found.push(`the page is ${sticksOut} px too wide`);
  const named = (element) =>
    `<${element.localName} class="${element.getAttribute("class") ?? ""}"> ` +
    `"${element.textContent.trim().replace(/\\s+/g, " ").slice(0, 60)}"`;
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const isSeen = element.checkVisibility({ opacityProperty: true, visibilityProperty: true,
      contentVisibilityAuto: true });
    // Links for screen readers, and what is only read aloud.
    if (!isSeen || box.width < 2 || box.height < 2 || box.bottom <= 0) continue;
    if (box.left < -1 || box.right > width + 1)
      found.push(`${named(element)} reaches from ${box.left} to ${box.right}`);
    // A text area may scroll, and three dots tell of more.
    if (element.matches("textarea, input, select") || style.textOverflow === "ellipsis") continue;
    const hides = style.overflowX !== "visible" || element.matches("td, th, li, p, button, .panel");
    if (hides && style.display !== "inline" && element.scrollWidth > element.clientWidth + 1)
      found.push(`${named(element)} holds ${element.scrollWidth} px in ${element.clientWidth}`);
  }
  const rows = new Set([...document.querySelectorAll(".page-nav a")].map((link) => link.offsetTop));
  if (rows.size > 1) found.push(`the navigation takes ${rows.size} rows`);
  for (const cell of document.querySelectorAll(".table-stacked td[data-label]")) {
    const label = getComputedStyle(cell, "::before");
    if (label.position === "absolute" &&
        parseFloat(label.width) > parseFloat(getComputedStyle(cell).paddingLeft))
      found.push(`the label ${cell.dataset.label} covers its value`);
  }
  return found.slice(0, 8);
}
"""
_RANKS = "[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => Number(h.tagName[1]))"
_OPEN = "document.querySelectorAll('details').forEach(each => { each.open = true })"


def faults_of(page: Any) -> list[str]:
    """Return the faults of the open page, in both sizes and color schemes, with all details expanded."""
    page.evaluate(_OPEN)
    faults = []
    for scheme, ground in GROUNDS.items():
        # During a transition, an element has a color that is not in the style sheet.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        if page.evaluate("getComputedStyle(document.body).backgroundColor") != ground:
            faults.append(f"{page.url}, {scheme}: another ground than that of all pages")
        for viewport in (NARROW, WIDE):
            page.set_viewport_size(viewport)
            where = f"{page.url}, {scheme}, {viewport['width']} px"
            faults += [f"{where}: {fault}" for fault in page.evaluate(_MISPLACED)]
            seen = Axe().run(page, options={"resultTypes": ["violations"]})
            if seen.violations_count:
                faults.append(f"{where}: {seen.generate_report()}")
    ranks = page.evaluate(_RANKS)
    if ranks.count(1) != 1 or any(b - a > 1 for a, b in zip([1, *ranks], ranks, strict=False)):
        faults.append(
            f"{page.url}: one heading of the first rank, and no rank left out, not {ranks}"
        )
    return faults
