// The pages of whoever is not signed in yet: signing in, and enrolling a first passkey by an invitation.
//
// `signedIn` gets who the authority says it is; everything else about being signed in is the frame's affair.

import { get, postAsNobody, session } from './api.js';
import { badge, failure, field, h, notice, prose, sentence, shown } from './dom.js';
import * as passkey from './passkey.js';

/** A button that runs `act` once at a time and shows its refusal in `problem`. */
export function doing(button, problem, act) {
  return async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    problem.replaceChildren();
    try {
      await act();
    } catch (error) {
      problem.replaceChildren(failure(error));
    } finally {
      button.disabled = false;
    }
  };
}

/** What a new passkey is called unless its person says otherwise. */
export function nameOfDevice() {
  const { platform = '' } = navigator.userAgentData ?? {};
  return platform || 'This device';
}

/**
 * Links to the providers that one may sign in with instead, as soon as they are known; `next` is the question that the
 * person came from.
 */
function providerLinks(next) {
  const links = h('div.providers');
  postAsNobody('sign-in/options').then(({ providers = [] }) => {
    const query = next ? `?${new URLSearchParams({ next })}` : '';
    const link = (name) => h('p', h('a.button.wide', { href: `/sign-in/providers/${encodeURIComponent(name)}${query}` }, 'Sign in with ', ...shown(name)));
    links.replaceChildren(...providers.map(link));
  }).catch(() => {});
  return links;
}

/** The page that signs in: by a passkey, a provider, a recovery code, or a login secret; `why` is shown above. */
export function signInPage({ why, signedIn, next }) {
  const problem = h('div');
  const button = h('button.primary.wide', { type: 'submit' }, 'Sign in with a passkey');
  const form = h('form', {
    onsubmit: doing(button, problem, async () => {
      const who = await passkey.signIn();
      session.beginCookie();
      signedIn(who);
    }),
  }, button, problem);
  return h('div.sign-in',
    h('h1', { tabindex: '-1' }, 'Sign in'),
    why && notice('warn', h('p', { role: 'alert' }, why)),
    form,
    providerLinks(next),
    h('details', h('summary', 'Other ways to sign in'), recoveryForm(signedIn), secretForm(signedIn)),
    h('h2', 'Where to get a passkey'),
    h('ul',
      h('li', prose('An administrator invites you with `chancery owner invite alice@example.com --role operator`, and you open the link.')),
      h('li', prose('On the machine of the authority, `chancery up` prints a link that signs its administrator in.'))));
}

function recoveryForm(signedIn) {
  const code = h('input', { type: 'text', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', required: true, placeholder: 'xxxxx-xxxxx-xxxxx-xxxxx' });
  const problem = h('div');
  const button = h('button', { type: 'submit' }, 'Use the code');
  const act = async () => {
    const who = await postAsNobody('sign-in/recovery', { code: code.value.trim() });
    session.beginCookie();
    signedIn(who);
  };
  return h('form', { onsubmit: doing(button, problem, act) },
    field('Recovery code', code, 'For when every passkey is lost. It is good once, for enrolling a new one.'), problem, button);
}

function secretForm(signedIn) {
  const secret = h('input', {
    type: 'password', id: 'secret', autocomplete: 'off', spellcheck: 'false',
    placeholder: 'chl_…', required: true, pattern: '\\s*chl_[\\w\\-]+\\s*', title: 'a login begins with chl_',
  });
  const problem = h('div');
  const button = h('button', { type: 'submit' }, 'Use the secret');
  const act = async () => {
    session.begin(secret.value.trim());
    try {
      signedIn(await get('whoami'));
    } catch (error) {
      // A login that nobody knows brings this page again, with the reason.
      if (error.status === 401) return;
      session.end();
      throw error;
    }
  };
  return h('form', { onsubmit: doing(button, problem, act) },
    field('Login secret', secret, 'It stays in this tab and is forgotten when the tab is closed.'), problem, button);
}

/** The page that enrols a passkey by the invitation of a link; `me` is whoever is signed in already. */
export async function invitationPage({ invitation, me, signedIn, leave }) {
  let options;
  try {
    options = await postAsNobody('enrolment/options', { invitation });
  } catch (error) {
    const isOver = error.code === 'sign_in_refused';
    const words = 'This invitation was used, has ended, or was replaced by a later one. Ask for a new one.';
    return h('div.sign-in', h('h1', { tabindex: '-1' }, 'Invitation'),
      isOver ? notice('bad', h('p', { role: 'alert' }, words)) : failure(error),
      h('p', h('a', { href: '#/', onclick: leave }, me ? 'Go on as you are' : 'Sign in')));
  }
  const name = h('input', { required: true, maxlength: 60, autocomplete: 'off', value: nameOfDevice() });
  const problem = h('div');
  const button = h('button.primary.wide', { type: 'submit' }, 'Make a passkey');
  const act = async () => {
    // Anew, since the person may have read for longer than a challenge lasts.
    options = await postAsNobody('enrolment/options', { invitation });
    const credential = await passkey.create(options);
    const who = await postAsNobody('enrolment', { invitation, name: name.value, credential });
    session.end();
    session.beginCookie();
    signedIn(who);
  };
  return h('div.sign-in',
    h('h1', { tabindex: '-1' }, 'You are invited'),
    h('p.lead', 'Make a passkey on this device. From then on it signs you in, without a password.'),
    h('dl',
      h('div', h('dt', 'You are'), h('dd', h('strong', ...shown(options.owner)))),
      h('div', h('dt', 'You may act as'), h('dd.badges', options.roles.map((role) => badge(role, 'plain'))))),
    h('p.after.small', 'Go on only if this is you and you expected the link: what is done with the passkey is recorded under this name.'),
    me && notice('warn', h('p', 'You are signed in as ', h('strong', ...shown(me)), '. Going on signs you out there.')),
    h('form.after', { onsubmit: doing(button, problem, act) },
      field('Name of the passkey', name, 'So that you know it again among others.'), problem, button),
    me && h('p', h('a', { href: '#/', onclick: leave }, sentence(`stay signed in as ${me}`))));
}
