// Reloads the live part of a page until its data-poll attribute is gone.
// The part is the element with data-poll (its address) and data-poll-ms (the interval).
"use strict";

(function () {
  const SLOWEST_MS = 30000;

  function start(part) {
    let wait = Number(part.dataset.pollMs);
    setTimeout(() => poll(part, wait), wait);
  }

  async function poll(part, wait) {
    if (document.hidden) {
      document.addEventListener("visibilitychange", () => poll(part, wait), { once: true });
      return;
    }
    let response;
    try {
      response = await fetch(part.dataset.poll, { headers: { Accept: "text/html" } });
    } catch {
      response = null; // no network: retry with a longer interval
    }
    if (response && response.ok && !response.redirected) {
      replace(part, await response.text());
    } else if (response && (response.redirected || (response.status >= 400 && response.status < 500))) {
      location.reload(); // signed out or deleted: the reloaded page shows it
    } else {
      const longer = Math.min(wait * 2, SLOWEST_MS);
      setTimeout(() => poll(part, longer), longer);
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
      // Keep the element, so that screen readers announce the changes in it.
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
