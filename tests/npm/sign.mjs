// Signs a request with the package http-message-signatures, as somebody would who has read RFC 9421 and not our client.
// Reads {"method", "url", "headers", "id", "algorithm", "secret", "fields", "nonce"} and writes the signed headers.
import { createHmac, createPrivateKey, sign } from 'node:crypto';
import { httpbis } from 'http-message-signatures';

const parts = [];
for await (const part of process.stdin) parts.push(part);
const asked = JSON.parse(Buffer.concat(parts).toString());
const secret = Buffer.from(asked.secret, 'base64url');
const prefix = Buffer.from('302e020100300506032b657004220420', 'hex'); // PKCS #8 of an Ed25519 seed (RFC 8410)
const made = (data) =>
  asked.algorithm === 'ed25519'
    ? sign(null, data, createPrivateKey({ key: Buffer.concat([prefix, secret]), format: 'der', type: 'pkcs8' }))
    : createHmac('sha256', secret).update(data).digest();
const now = Math.floor(Date.now() / 1000);
const signed = await httpbis.signMessage(
  {
    key: { id: asked.id, alg: asked.algorithm, sign: async (data) => made(data) },
    name: 'foreign',
    fields: asked.fields,
    params: ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'],
    paramValues: {
      created: new Date(now * 1000), expires: new Date((now + 60) * 1000), nonce: asked.nonce, tag: 'agentmem-v1',
    },
  },
  { method: asked.method, url: asked.url, headers: asked.headers },
);
console.log(JSON.stringify(signed.headers));
