"""Authlib signs a person in, as an ordinary relying party does: it finds the authority, sends the person there by a link,
and judges the ID token by the published keys (OpenID Connect Core 3.1)."""

import os
import time
import unittest
from typing import Any
from urllib.parse import urlsplit

# The authority of these suites is on loopback, without TLS.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from authority import Agent, Authority
from joserfc import jwt
from joserfc.jwk import KeySet
from people import approve
from servers import EVERYTHING

CALLBACK = "http://127.0.0.1:8978/callback"


class RelyingParty(unittest.TestCase):
    """One authority, one client and one person."""

    authority: Authority
    agent: Agent

    @classmethod
    def setUpClass(cls) -> None:
        cls.authority = Authority()
        cls.addClassCleanup(cls.authority.stop)
        cls.authority.add_server(EVERYTHING.name, EVERYTHING.command)
        cls.agent = cls.authority.register_agent(EVERYTHING.name, EVERYTHING.permitted[0])
        cls.authority.command("agent", "redirects", cls.agent.name, CALLBACK)
        # An explicit exception, which ends by itself: Authlib cannot bind its tokens to a key.
        userinfo = f"{cls.authority.url}/oauth/userinfo"
        cls.authority.command("resource", "register", userinfo, "--allow-bearer", "1h")
        cls.metadata = requests.get(
            f"{cls.authority.url}/.well-known/openid-configuration", timeout=10
        ).json()

    def session(self) -> OAuth2Session:
        """A client that proves who it is by its key."""
        session = OAuth2Session(
            self.agent.id,
            self.agent.key,
            scope="openid email",
            redirect_uri=CALLBACK,
            code_challenge_method="S256",
            token_endpoint_auth_method="private_key_jwt",
        )
        # The audience of an assertion is the issuer alone (FAPI 2.0 5.3.2.1), and it lives a minute, not an hour.
        soon = {"exp": int(time.time()) + 60}
        method = PrivateKeyJWT(self.metadata["issuer"], claims=soon, alg="ES256")
        session.register_client_auth_method(method)
        return session

    def test_person_signs_in_and_the_client_learns_who_it_is(self) -> None:
        verifier = "a-verifier-that-nobody-else-knows-0123456789"
        session = self.session()
        url, state = session.create_authorization_url(
            self.metadata["authorization_endpoint"], nonce="a-nonce", code_verifier=verifier
        )
        landed = approve(self.authority, url)
        self.assertEqual(urlsplit(landed).path, "/callback")
        token = session.fetch_token(
            self.metadata["token_endpoint"],
            authorization_response=landed,
            state=state,
            code_verifier=verifier,
        )
        claims = self.judge(token["id_token"], token["access_token"])
        self.assertEqual(claims["email"], "alice@example.com")
        told = session.get(self.metadata["userinfo_endpoint"]).json()
        self.assertEqual(told["sub"], claims["sub"])
        self.assertEqual(told["email"], "alice@example.com")

    def judge(self, id_token: str, access_token: str) -> dict[str, Any]:
        """Verifies the ID token as Authlib does for its users."""
        keys = KeySet.import_key_set(requests.get(self.metadata["jwks_uri"], timeout=10).json())
        decoded = jwt.decode(
            id_token, keys, algorithms=self.metadata["id_token_signing_alg_values_supported"]
        )
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {"iss": {"value": self.metadata["issuer"]}, "aud": {"value": self.agent.id}},
            {"nonce": "a-nonce", "client_id": self.agent.id, "access_token": access_token},
        )
        claims.validate(now=int(time.time()), leeway=5)
        return dict(claims)


if __name__ == "__main__":
    unittest.main()
