// Runs every flow with openid-client and with oauth4webapi. The test acts as the user: this program
// writes one line of JSON with the action, and reads one line with its result.
import readline from 'node:readline'

import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()

async function ask(what) {
  process.stdout.write(JSON.stringify(what) + '\n')
  const { value } = await lines.next()
  return JSON.parse(value)
}

function check(condition, what) {
  if (!condition) throw new Error(`not so: ${what}`)
}

async function isRefused(promise, code) {
  try {
    await promise
  } catch (error) {
    check(error.error === code, `${code}, but ${error.error ?? error}`)
    return
  }
  throw new Error(`was not refused: ${code}`)
}

async function status(url, token) {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
  return answer.status
}

async function withOpenidClient({ issuer, me, redirect, confidential, open, robot }) {
  const insecure = { algorithm: 'oauth2', execute: [client.allowInsecureRequests] }
  for (const [id, authentication] of [
    [confidential.id, client.ClientSecretBasic(confidential.secret)],
    [confidential.id, client.ClientSecretPost(confidential.secret)],
    [open.id, client.None()],
  ]) {
    const config = await client.discovery(new URL(issuer), id, undefined, authentication, insecure)
    const pkceCodeVerifier = client.randomPKCECodeVerifier()
    const expectedState = client.randomState()
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: redirect,
      scope: 'projects:read',
      state: expectedState,
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    })
    const callback = new URL((await ask({ visit: url.href })).location)
    let tokens = await client.authorizationCodeGrant(config, callback, { pkceCodeVerifier, expectedState })
    check(tokens.scope === 'projects:read', 'the scope')
    const answer = await client.fetchProtectedResource(config, tokens.access_token, new URL(me), 'GET')
    check(answer.status === 200, 'the token opens the API')
    const first = tokens.refresh_token
    tokens = await client.refreshTokenGrant(config, first)
    check(tokens.refresh_token !== first, 'the refresh token rotates')
    check((await status(me, tokens.access_token)) === 200, 'the renewed token opens the API')
    if (id === confidential.id) {
      check((await client.tokenIntrospection(config, tokens.access_token)).active, 'it is active')
    }
    await client.tokenRevocation(config, tokens.refresh_token)
    check((await status(me, tokens.access_token)) === 401, 'revocation ends the family')
    await isRefused(client.refreshTokenGrant(config, tokens.refresh_token), 'invalid_grant')
    if (id === confidential.id) {
      const known = await client.tokenIntrospection(config, tokens.access_token)
      check(known.active === false && Object.keys(known).length === 1, 'nothing more is told')
    }
  }

  const own = await client.discovery(new URL(issuer), robot.id, robot.secret, undefined, insecure)
  const tokens = await client.clientCredentialsGrant(own, { scope: 'runs:read' })
  check((await status(me, tokens.access_token)) === 200, 'a client in its own name')

  const device = await client.discovery(new URL(issuer), 'combine-cli', undefined, client.None(), insecure)
  const started = await client.initiateDeviceAuthorization(device, { scope: 'projects:read' })
  await ask({ approve: started.user_code })
  const letIn = await client.pollDeviceAuthorizationGrant(device, started)
  check((await status(me, letIn.access_token)) === 200, 'a device')
}

async function withOauth4webapi({ issuer, me, redirect, open }) {
  const insecure = { [oauth.allowInsecureRequests]: true }
  const url = new URL(issuer)
  const as = await oauth.processDiscoveryResponse(
    url, await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure }),
  )
  check(as.authorization_response_iss_parameter_supported === true, 'iss is announced')
  const us = { client_id: open.id }
  const nobody = oauth.None()
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const ask_at = new URL(as.authorization_endpoint)
  for (const [name, value] of Object.entries({
    client_id: open.id, redirect_uri: redirect, response_type: 'code', scope: 'projects:read', state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  })) ask_at.searchParams.set(name, value)
  const callback = new URL((await ask({ visit: ask_at.href })).location)
  // Also checks iss (RFC 9207).
  const parameters = oauth.validateAuthResponse(as, us, callback, state)
  const redeem = () =>
    oauth.authorizationCodeGrantRequest(as, us, nobody, parameters, redirect, verifier, insecure)
  const tokens = await oauth.processAuthorizationCodeResponse(as, us, await redeem())
  const renewed = await oauth.processRefreshTokenResponse(
    as, us, await oauth.refreshTokenGrantRequest(as, us, nobody, tokens.refresh_token, insecure),
  )
  check((await status(me, renewed.access_token)) === 200, 'the renewed token opens the API')
  // Using the code again revokes its tokens.
  await isRefused(redeem().then((again) => oauth.processAuthorizationCodeResponse(as, us, again)), 'invalid_grant')
  check((await status(me, renewed.access_token)) === 401, 'reuse ends the family')
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, us, nobody, renewed.refresh_token, insecure),
  )
  // The user denies.
  const denied = new URL((await ask({ visit: ask_at.href, deny: true })).location)
  await isRefused((async () => oauth.validateAuthResponse(as, us, denied, state))(), 'access_denied')
}

const given = JSON.parse(process.argv[2])
await { 'openid-client': withOpenidClient, oauth4webapi: withOauth4webapi }[given.library](given)
process.stdout.write(JSON.stringify({ done: true }) + '\n')
process.exit(0)
