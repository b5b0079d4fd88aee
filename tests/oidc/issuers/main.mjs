// Runs both issuers until standard input ends. Writes one line of JSON with their addresses and the
// address of the control server, which tells them what to do next: POST /<issuer>/<verb>, with JSON.

import { createServer } from 'node:http';

import { Issuer } from './issuer.mjs';
import { google, microsoft } from './profiles.mjs';

const issuers = new Map([google, microsoft].map((profile) => [profile.name, new Issuer(profile)]));

const verbs = {
  reset: async (issuer, given) => {
    if (!issuer.server.listening) await issuer.listen();
    issuer.faults.clear();
    issuer.reset(given);
  },
  accounts: (issuer, given) => issuer.setAccounts(given),
  clients: (issuer, given) => issuer.setClients(given),
  fault: (issuer, given) => issuer.faults.add(given),
  mend: (issuer) => issuer.faults.clear(),
  keys: (issuer, given) => issuer.rotateKeys(given),
  stop: (issuer) => issuer.stop(),
  start: (issuer) => issuer.listen(),
  requests: (issuer) => issuer.requests,
};

const control = createServer(async (request, response) => {
  const [, name, verb] = request.url.split('/');
  let status = 200;
  let answer;
  try {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    answer = await verbs[verb](issuers.get(name), JSON.parse(Buffer.concat(chunks).toString()));
  } catch (error) {
    status = 500;
    answer = { error: String(error.stack) };
  }
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(answer ?? {}));
});

for (const issuer of issuers.values()) await issuer.listen();
await new Promise((resolve) => control.listen(0, '127.0.0.1', resolve));
const addresses = { control: `http://127.0.0.1:${control.address().port}` };
for (const [name, issuer] of issuers) addresses[name] = issuer.origin;
console.log(JSON.stringify(addresses));

// The parent process has ended.
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
