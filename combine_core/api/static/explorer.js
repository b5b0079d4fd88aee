// Starts Swagger UI. It is a separate file, because the Content-Security-Policy forbids inline scripts.
"use strict";

const place = document.getElementById("explorer");

// Swagger UI nests links in buttons with the same effect, which confuses screen readers.
const withoutNestedLinks = ({ React }) => ({
  components: { DeepLink: ({ text }) => React.createElement("span", null, text) },
});

// Swagger UI leaves some fields without a label, and gives all tables of responses the same label.
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
  // The colours of the highlighter have too little contrast.
  syntaxHighlight: false,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // Requests with the session cookie of a signed-in user need the CSRF token.
  requestInterceptor: (request) => {
    const url = new URL(request.url, window.location.href);
    if (place.dataset.csrfToken && url.origin === window.location.origin && request.method !== "GET") {
      request.headers["X-CSRF-Token"] = place.dataset.csrfToken;
    }
    return request;
  },
  // Do not send the document to an online validator.
  validatorUrl: null,
  // Do not store tokens in the browser.
  persistAuthorization: false,
  oauth2RedirectUrl: new URL(place.dataset.redirect, window.location.href).href,
});

if (place.dataset.oauthClient) {
  explorer.initOAuth({
    clientId: place.dataset.oauthClient,
    usePkceWithAuthorizationCodeGrant: true,
  });
}
