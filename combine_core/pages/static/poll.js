// Replaces the live part of a page until it no longer asks for that.
// The part is the element with data-poll (its address) and data-poll-ms (how often).
"use strict";

(function () {
  const SLOWEST_MS = 30000;

  function start(part) {
    let wait = Number(part.dataset.pollMs);
    setTimeout(() => look(part, wait), wait);
  }

  async function look(part, wait) {
    if (document.hidden) {
      document.addEventListener("visibilitychange", () => look(part, wait), { once: true });
      return;
    }
    let answer;
    try {
      answer = await fetch(part.dataset.poll, { headers: { Accept: "text/html" } });
    } catch {
      answer = null; // no network: try again, ever more slowly
    }
    if (answer && answer.ok && !answer.redirected) {
      replace(part, await answer.text());
    } else if (answer && (answer.redirected || (answer.status >= 400 && answer.status < 500))) {
      location.reload(); // signed out, or gone: let the page say so
    } else {
      const longer = Math.min(wait * 2, SLOWEST_MS);
      setTimeout(() => look(part, longer), longer);
    }
  }

  function replace(part, html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").getElementById(part.id);
    if (!fresh) {
      location.reload();
      return;
    }
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    if (fresh.outerHTML !== part.outerHTML) {
      // The element stays, so that screen readers hear what changes in it.
      part.innerHTML = fresh.innerHTML;
      for (const name of ["data-poll", "data-poll-ms"]) {
        if (fresh.hasAttribute(name)) {
          part.setAttribute(name, fresh.getAttribute(name));
        } else {
          part.removeAttribute(name);
        }
      }
      if (focused) {
        const again = document.getElementById(focused);
        (again || part).focus();
      }
    }
    if (part.dataset.poll) {
      start(part);
    }
  }

  document.querySelectorAll("[data-poll]").forEach(start);
})();
