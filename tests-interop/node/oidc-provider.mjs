// The peer of the bench: npm `oidc-provider`, asked for what our token endpoint does.
//
// One client with `private_key_jwt` and DPoP, JWT access tokens signed with ES256, everything in memory.
// Arguments: the client's id and its public key as a JWK. Prints where it listens.

import { createServer } from 'node:http';

import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const [clientId, clientKey] = process.argv.slice(2);

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const signingKey = { ...(await exportJWK(privateKey)), kid: 'issuer', use: 'sig', alg: 'ES256' };

function configuration() {
  return {
    jwks: { keys: [signingKey] },
    clients: [
      {
        client_id: clientId,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: 'ES256',
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        dpop_bound_access_tokens: true,
        jwks: { keys: [JSON.parse(clientKey)] },
      },
    ],
    clientAuthMethods: ['private_key_jwt'],
    enabledJWA: {
      clientAuthSigningAlgValues: ['ES256'],
      dPoPSigningAlgValues: ['ES256'],
      idTokenSigningAlgValues: ['ES256'],
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          audience: resource,
          scope: '',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  };
}

// The issuer names the port, so the port comes first.
let answer;
const server = createServer((request, response) => answer(request, response));
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, configuration());
  provider.on('server_error', (_context, error) => console.error(error));
  answer = provider.callback();
  console.log(JSON.stringify({ ready: true, url }));
});
