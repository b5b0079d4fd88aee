// Starts Swagger UI. A file of its own, because the page allows no script inside itself.
"use strict";

const place = document.getElementById("explorer");

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.description,
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // Nothing is sent to an online validator.
  validatorUrl: null,
  // Tokens stay out of the browser's storage.
  persistAuthorization: false,
});
