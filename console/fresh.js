// What a stolen session must not do: it is done by who signed in just now, or signs in again for it.

import { get } from './api.js';
import { ask, h } from './dom.js';
import * as passkey from './passkey.js';

/** Runs `act`, and once more after the person has signed in again when that is what it needs. */
export async function fresh(act) {
  try {
    return await act();
  } catch (error) {
    if (error.code !== 'sign_in_again') throw error;
  }
  const before = await get('whoami');
  const who = await ask({
    title: 'Sign in again',
    body: h('p', 'How you sign in is changed only by who signed in in the last five minutes.'),
    confirm: 'Use my passkey',
    act: () => passkey.signIn(),
  });
  if (!who) return undefined;
  // Another person's passkey signed in another person: nothing is done in their name.
  if (who.id !== before.id) {
    location.reload();
    return undefined;
  }
  return act();
}
