// An OpenID issuer on its own loopback address: the certified oidc-provider in the role of Google or
// Microsoft. A test can stop it, make it fail, and change its keys and accounts. It cannot lie.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { Provider, interactionPolicy } from 'oidc-provider';
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js';

import { Faults } from './faults.mjs';
import { answerLogin, showLogout } from './login.mjs';

export class Issuer {
  // profile: see profiles.mjs
  constructor(profile) {
    this.profile = profile;
    // Creating a key is slow, so a reset returns to this one.
    this.firstKey = newKey();
    this.server = createServer((request, response) => this.#serve(request, response));
    this.reset({});
  }

  async listen() {
    await new Promise((resolve) => this.server.listen(this.port ?? 0, this.profile.host, resolve));
    this.port = this.server.address().port;
    this.#build();
  }

  // The port is closed, so a connection is refused.
  async stop() {
    this.server.closeAllConnections();
    if (this.server.listening) await new Promise((resolve) => this.server.close(resolve));
  }

  get origin() {
    return `http://${this.profile.host}:${this.port}`;
  }

  // Returns to the initial state. All sessions end.
  // thin: the ID token has no claims of the scopes. algorithm: RS256, or ES256 and so on.
  reset({ clients = [], tenant, accounts = {}, thin = false, algorithm = 'RS256' }) {
    this.adapter = createMemoryAdapter();
    this.cookieKey = randomBytes(16).toString('hex');
    this.keys = [algorithm === 'RS256' ? this.firstKey : newKey(algorithm)];
    this.thin = thin;
    this.algorithm = algorithm;
    this.faults = new Faults();
    this.requests = [];
    this.clients = clients;
    this.tenant = tenant ?? this.profile.tenant;
    // name -> claims, including sub
    this.accounts = new Map(Object.entries(accounts));
    if (this.port) this.#build();
  }

  setAccounts(accounts) {
    for (const [name, claims] of Object.entries(accounts)) this.accounts.set(name, claims);
  }

  setClients(clients) {
    this.clients = clients;
    this.#build();
  }

  // With overlap, the old key is still published. Without it, the key is removed.
  rotateKeys({ overlap }) {
    this.keys = [newKey(this.algorithm), ...(overlap ? this.keys : [])];
    this.#build();
  }

  #build() {
    const { profile } = this;
    this.prefix = profile.prefix(this.tenant);
    this.provider = new Provider(this.origin + this.prefix, {
      adapter: this.adapter,
      clients: this.clients,
      claims: profile.claims,
      // The ID token contains the claims of the scopes, as with Google and Microsoft, but not with
      // the organization server of Okta.
      conformIdTokenClaims: this.thin,
      enabledJWA: { idTokenSigningAlgValues: [this.algorithm] },
      cookies: { keys: [this.cookieKey] },
      features: {
        devInteractions: { enabled: false },
        rpInitiatedLogout: { enabled: profile.endsSessions, logoutSource: showLogout },
      },
      findAccount: (_, sub) => this.#account(sub),
      interactions: {
        policy: withAccountChoice(),
        url: (_, interaction) => `${this.prefix}/interaction/${interaction.uid}`,
      },
      // Pass a copy, because the provider modifies it.
      jwks: { keys: structuredClone(this.keys) },
      loadExistingGrant,
      pkce: { required: () => true },
      routes: profile.routes,
      ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 3600 },
    });
    this.provider.on('server_error', (_, error) => console.error(error));
    profile.dress?.(this.provider, this.origin);
    this.callback = this.provider.callback();
  }

  #account(sub) {
    const claims = [...this.accounts.values()].find((account) => account.sub === sub);
    return claims && { accountId: sub, claims: () => this.profile.complete(claims, this.tenant) };
  }

  async #serve(request, response) {
    const { pathname } = new URL(request.url, this.origin);
    const path = this.profile.strip(pathname);
    this.requests.push({ method: request.method, path });
    try {
      if (await this.faults.answer(path, response)) return;
      if (path.startsWith('/interaction/')) {
        await answerLogin(this, request, response);
        return;
      }
      const query = request.url.slice(pathname.length);
      // The provider derives its own addresses from the difference between the two.
      request.originalUrl = this.prefix + path + query;
      request.url = path + query;
      await this.callback(request, response);
    } catch (error) {
      console.error(error);
      response.destroy();
    }
  }
}

function newKey(algorithm = 'RS256') {
  const namedCurve = { ES256: 'P-256', ES384: 'P-384' }[algorithm];
  const { privateKey } = namedCurve
    ? generateKeyPairSync('ec', { namedCurve })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    ...privateKey.export({ format: 'jwk' }), alg: algorithm, use: 'sig', kid: randomBytes(8).toString('hex'),
  };
}

// prompt=select_account, which both real issuers support.
function withAccountChoice() {
  const policy = interactionPolicy.base();
  policy.add(new interactionPolicy.Prompt({ name: 'select_account', requestable: true }), 0);
  return policy;
}

// There is no consent page: signing in gives consent.
async function loadExistingGrant(context) {
  const { client, session, provider, params } = context.oidc;
  const grantId = session.grantIdFor(client.clientId);
  const found = grantId && (await provider.Grant.find(grantId));
  if (found) return found;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope);
  await grant.save(600);
  return grant;
}
