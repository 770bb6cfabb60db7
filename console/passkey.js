// Passkeys: what the browser does between two requests to the authority.
//
// The private key never leaves the authenticator. What the browser hands us are bytes, which travel as base64url.

import { post, Refusal } from './api.js';

const TIMEOUT_MS = 300_000;

/** The bytes of a base64url text. */
function bytes(text) {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

/** The base64url text of an ArrayBuffer. */
function text(buffer) {
  const binary = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join('');
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** Signs in with a passkey that the person chooses; answers who that is. */
export async function signIn() {
  const options = await post('sign-in/options');
  requireOurOrigin(options);
  const credential = await asked(() => navigator.credentials.get({
    publicKey: { challenge: bytes(options.challenge), rpId: options.rp_id, userVerification: 'required', timeout: TIMEOUT_MS },
  }));
  const { response } = credential;
  return post('sign-in', {
    credential: {
      id: text(credential.rawId),
      client_data_json: text(response.clientDataJSON),
      authenticator_data: text(response.authenticatorData),
      signature: text(response.signature),
      // A key that was made for another way of signing in has none, and is refused.
      user_handle: text(response.userHandle ?? new ArrayBuffer(0)),
    },
  });
}

/** Makes a passkey as `options` of the authority ask for; answers the credential as the authority takes it. */
export async function create(options) {
  requireOurOrigin(options);
  const credential = await asked(() => navigator.credentials.create({
    publicKey: {
      challenge: bytes(options.challenge),
      rp: { id: options.rp_id, name: 'Chancery' },
      user: { id: bytes(options.user_handle), name: options.owner, displayName: options.owner },
      pubKeyCredParams: options.algorithms.map((alg) => ({ type: 'public-key', alg })),
      excludeCredentials: options.exclude.map((id) => ({ type: 'public-key', id: bytes(id) })),
      authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
      attestation: 'none',
      timeout: TIMEOUT_MS,
    },
  }));
  return {
    id: text(credential.rawId),
    client_data_json: text(credential.response.clientDataJSON),
    attestation_object: text(credential.response.attestationObject),
  };
}

/** A passkey is bound to one origin, and the browser would refuse it at another without saying why. */
function requireOurOrigin({ origin }) {
  if (location.origin !== origin) {
    throw new Refusal({
      code: 'another_origin',
      title: `Passkeys work at ${origin}, not under this address.`,
      fix: `Open \`${origin}/console/\`.`,
    });
  }
}

/** What the browser answers; its own refusals in words that help. */
async function asked(ask) {
  if (!globalThis.PublicKeyCredential) {
    throw new Refusal({ code: 'no_passkeys', title: 'This browser has no passkeys.', fix: 'Use a current browser, over https or at localhost.' });
  }
  try {
    return await ask();
  } catch (error) {
    if (error.name === 'InvalidStateError') {
      throw new Refusal({ code: 'passkey_exists', title: 'This device has a passkey of yours already.', fix: 'Sign in with it, or choose another device.' });
    }
    if (error.name === 'NotAllowedError' || error.name === 'AbortError') {
      throw new Refusal({ code: 'passkey_not_used', title: 'No passkey was used.', fix: 'It was cancelled, took too long, or there is none here. Try again.' });
    }
    throw new Refusal({ code: 'passkey_failed', title: `The browser refused: ${error.message}` });
  }
}
