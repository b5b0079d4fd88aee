// The properties of Google and Microsoft. A browser treats different addresses in 127.0.0.0/8 as different
// sites, like the real issuers.

export const google = {
  name: 'google',
  title: 'Google',
  host: '127.0.0.2',
  prefix: () => '',
  // Its discovery document is also available at an address that does not follow from the issuer, as
  // with Azure B2C.
  strip: (path) => path.replace(/^\/b2c_1_sign_in(?=\/)/, ''),
  routes: { authorization: '/o/oauth2/v2/auth', token: '/token', jwks: '/oauth2/v3/certs', userinfo: '/userinfo' },
  claims: {
    openid: ['sub', 'hd'],
    email: ['email', 'email_verified'],
    profile: ['name', 'picture'],
  },
  complete: (claims) => claims,
  denial: 'The user denied access.',
  // Google has no sign-out endpoint.
  endsSessions: false,
};

export const microsoft = {
  name: 'microsoft',
  title: 'Microsoft',
  host: '127.0.0.3',
  tenant: '72f988bf-86f1-41af-91ab-2d7cd011db47',
  prefix: (tenant) => `/${tenant}/v2.0`,
  // Every user may start at "common", or at the tenant of another organization.
  strip: (path) => path.replace(/^\/(common|organizations|[0-9a-f-]{36})\/v2\.0(?=\/)/, ''),
  routes: {
    authorization: '/authorize', token: '/token', jwks: '/keys', userinfo: '/userinfo', end_session: '/logout',
  },
  claims: {
    openid: ['sub', 'tid', 'oid'],
    email: ['email', 'xms_edov'],
    profile: ['name', 'preferred_username'],
  },
  complete: (claims, tenant) => ({ tid: tenant, oid: claims.sub, ...claims }),
  denial: 'AADSTS65004: User declined to consent to access the app.',
  endsSessions: true,
  // The discovery document and each key contain a template of the issuer.
  dress(provider, origin) {
    const template = `${origin}/{tenantid}/v2.0`;
    provider.use(async (context, next) => {
      await next();
      if (context.path === '/.well-known/openid-configuration') {
        context.body = { ...context.body, issuer: template };
      } else if (context.path === '/keys') {
        context.body = { keys: context.body.keys.map((key) => ({ ...key, issuer: template })) };
      }
    });
  },
};
