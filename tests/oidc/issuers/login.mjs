// The pages of an issuer. The sign-in page asks for the name of an account, or offers Cancel.

export async function answerLogin(issuer, request, response) {
  const { provider } = issuer;
  let details;
  try {
    details = await provider.interactionDetails(request, response);
  } catch {
    show(response, 400, '<h1>This sign-in is over</h1>');
    return;
  }
  const title = issuer.profile.title;
  if (request.method !== 'POST') {
    show(response, 200, form(title, details.prompt.name, ''));
    return;
  }
  const fields = new URLSearchParams(await read(request));
  if (fields.has('cancel')) {
    const denial = { error: 'access_denied', error_description: issuer.profile.denial };
    await provider.interactionFinished(request, response, denial, { mergeWithLastSubmission: false });
    return;
  }
  const account = issuer.accounts.get(fields.get('account'));
  if (!account) {
    show(response, 400, form(title, details.prompt.name, '<p role="alert">There is no such account.</p>'));
    return;
  }
  await provider.interactionFinished(request, response, {
    login: { accountId: account.sub },
    select_account: {},
  });
}

// The default page of the provider loads fonts from the network.
export function showLogout(context, form) {
  context.body = page(`<h1>Sign out?</h1>${form}
<button type="submit" form="op.logoutForm" name="logout" value="yes">Yes, sign me out</button>`);
}

function form(title, prompt, alert) {
  return `<h1>Sign in with ${title}</h1>${alert}
<form method="post" data-prompt="${prompt}">
  <label>Account <input name="account" autofocus></label>
  <button type="submit">Continue</button>
  <button type="submit" name="cancel" value="yes">Cancel</button>
</form>`;
}

function show(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(page(body));
}

function page(body) {
  return `<!doctype html><html lang="en"><head><title>Issuer</title>
<link rel="icon" href="data:,"></head><body>${body}</body></html>`;
}

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
