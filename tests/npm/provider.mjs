// An OpenID provider for the tests: oidc-provider (certified), which signs in whom the test says, without a page.
// Arguments: port, redirect address. `POST /control` sets who signs in next: {"sub", "name", "groups", "acr", "amr"}.
import Provider from 'oidc-provider';

const [port, redirect] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
let who = { sub: 'nobody', name: 'Nobody', groups: [] };
const known = new Map();

const client = (client_id, more) => ({ client_id, redirect_uris: [redirect], response_types: ['code'], ...more });
const provider = new Provider(issuer, {
  clients: [
    client('agentmem', { client_secret: 'a secret of thirty-two characters' }),
    client('public', { token_endpoint_auth_method: 'none' }),
  ],
  claims: { openid: ['sub', 'amr'], profile: ['name', 'groups'], email: ['email'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['for tests alone'] },
  features: { devInteractions: { enabled: false } },
  pkce: { required: () => true },
  acrValues: ['gold'],
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ ...known.get(id), sub: id }) }),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
});

provider.use(async (ctx, next) => {
  if (ctx.path === '/control') {
    const parts = [];
    for await (const part of ctx.req) parts.push(part);
    who = JSON.parse(Buffer.concat(parts).toString());
    known.set(who.sub, { name: who.name, groups: who.groups, email: `${who.sub}@example.com` });
    ctx.body = 'ok';
    return;
  }
  if (!ctx.path.startsWith('/interaction/')) {
    await next();
    return;
  }
  const { prompt, params, session } = await provider.interactionDetails(ctx.req, ctx.res);
  let result = { login: { accountId: who.sub, acr: who.acr, amr: who.amr } };
  if (prompt.name === 'consent') {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope('openid profile email');
    result = { consent: { grantId: await grant.save() } };
  }
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
});

provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
