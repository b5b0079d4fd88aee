// Starts Swagger UI. A file of its own, because the page allows no script inside itself.
"use strict";

const place = document.getElementById("explorer");

// Swagger UI puts links inside buttons that do the same; for screen readers that is none of both.
const withoutNestedLinks = ({ React }) => ({
  components: { DeepLink: ({ text }) => React.createElement("span", null, text) },
});

// It leaves some fields without a name, and gives all tables of responses the same.
const FIELDS = "select, textarea, input:not([type=hidden])";
const nameFields = () => {
  for (const field of place.querySelectorAll(FIELDS)) {
    if (!field.hasAttribute("aria-label") && !(field.labels.length && field.labels[0].textContent.trim())) {
      const row = field.closest("[data-param-name]");
      field.setAttribute("aria-label", row ? row.dataset.paramName : nameOf(field));
    }
  }
};
const nameOf = (field) =>
  field.closest(".servers") ? "Server" : field.closest(".body-param, .opblock-section-request-body") ? "Request body" : "Media type";
const nameTables = () => {
  for (const table of place.querySelectorAll(".opblock .responses-table:not([aria-label])")) {
    const operation = table.closest(".opblock").querySelector(".opblock-summary-description");
    table.setAttribute("aria-label", `Responses: ${operation.textContent}`);
  }
};
const nameAll = () => {
  nameFields();
  nameTables();
};
new MutationObserver(nameAll).observe(place, { childList: true, subtree: true });

const explorer = SwaggerUIBundle({
  domNode: place,
  url: place.dataset.description,
  deepLinking: true,
  plugins: [withoutNestedLinks],
  // Its colours are too faint.
  syntaxHighlight: false,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // For whoever is signed in with this browser, without a token of their own.
  requestInterceptor: (request) => {
    const url = new URL(request.url, window.location.href);
    if (place.dataset.csrfToken && url.origin === window.location.origin && request.method !== "GET") {
      request.headers["X-CSRF-Token"] = place.dataset.csrfToken;
    }
    return request;
  },
  // Nothing is sent to an online validator.
  validatorUrl: null,
  // Tokens stay out of the browser's storage.
  persistAuthorization: false,
  oauth2RedirectUrl: new URL(place.dataset.redirect, window.location.href).href,
});

if (place.dataset.oauthClient) {
  explorer.initOAuth({
    clientId: place.dataset.oauthClient,
    usePkceWithAuthorizationCodeGrant: true,
  });
}
