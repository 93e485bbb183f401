// Checks access tokens as a service that trusts our keys would: by `jose`, from the published list alone.
import { readFileSync } from "node:fs";
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from "jose";

const { jwks, tokens, issuer, audience } = JSON.parse(readFileSync(0, "utf8"));
const keys = createLocalJWKSet(jwks);
const told = {};
for (const [name, token] of Object.entries(tokens)) {
  try {
    const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: "at+jwt", algorithms: ["EdDSA"] });
    told[name] = `${payload.sub} ${payload.sid} ${decodeProtectedHeader(token).kid}`;
  } catch (error) {
    told[name] = error.code;
  }
}
process.stdout.write(JSON.stringify(told));
