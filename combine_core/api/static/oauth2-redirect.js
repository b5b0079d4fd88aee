// Hands the answer of the authorization endpoint to the explorer that opened this window. What Swagger
// UI brings for this is a script inside a page, which our pages do not allow.
"use strict";

function handOver() {
  const explorer = window.opener && window.opener.swaggerUIRedirectOauth2;
  if (!explorer) {
    // Signing in with another site on the way cuts the tie between the windows.
    document.getElementById("message").textContent =
      "You are signed in. Close this window, and choose Authorize in the explorer once more.";
    return;
  }
  const answer = new URLSearchParams(window.location.search);
  const fail = (message) =>
    explorer.errCb({ authId: explorer.auth.name, source: "auth", level: "error", message });
  if (answer.get("error")) {
    fail(`${answer.get("error")}: ${answer.get("error_description") || "no more is known."}`);
  } else if (answer.get("state") !== explorer.state || answer.get("iss") !== window.location.origin) {
    fail("This is no answer to the explorer's question.");
  } else {
    delete explorer.state;
    explorer.auth.code = answer.get("code");
    explorer.callback({ auth: explorer.auth, redirectUrl: explorer.redirectUrl });
  }
  window.close();
}

handOver();
