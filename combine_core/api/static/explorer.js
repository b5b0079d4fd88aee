// Starts Swagger UI. A file of its own, because the page allows no script inside itself.
"use strict";

const place = document.getElementById("explorer");

const explorer = SwaggerUIBundle({
  domNode: place,
  url: place.dataset.description,
  deepLinking: true,
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
