// Passes the response of the authorization endpoint to the explorer that opened this window. Swagger UI
// has an inline script for this, which the Content-Security-Policy forbids.
"use strict";

function handOver() {
  const explorer = window.opener && window.opener.swaggerUIRedirectOauth2;
  if (!explorer) {
    // Signing in at another site on the way removes window.opener.
    document.getElementById("message").textContent =
      "You are signed in. Close this window, and choose Authorize in the explorer again.";
    return;
  }
  const answer = new URLSearchParams(window.location.search);
  const fail = (message) =>
    explorer.errCb({ authId: explorer.auth.name, source: "auth", level: "error", message });
  if (answer.get("error")) {
    fail(`${answer.get("error")}: ${answer.get("error_description") || "no details."}`);
  } else if (answer.get("state") !== explorer.state || answer.get("iss") !== window.location.origin) {
    fail("This response does not belong to the request of the explorer. Choose Authorize again.");
  } else {
    delete explorer.state;
    explorer.auth.code = answer.get("code");
    explorer.callback({ auth: explorer.auth, redirectUrl: explorer.redirectUrl });
  }
  window.close();
}

handOver();
