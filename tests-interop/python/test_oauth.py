"""Three libraries that are not ours at the token endpoint: the official client that finds its own way,
authlib as an OAuth client, and joserfc as the judge of the token (RFC 9728, 8414, 7523, 9068)."""

import time
import unittest

import httpx2
from authlib.oauth2.rfc7523 import private_key_jwt_sign
from authority import Agent, Authority
from clients import answer, connected, refusal
from joserfc import jwt
from joserfc.jwk import KeySet
from mcp.client.auth import TokenStorage
from mcp.client.auth.extensions.client_credentials import (
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from servers import EVERYTHING

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Memory(TokenStorage):
    """Keeps what the official client obtained."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client_info: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client_info

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client_info = client_info


class ClientThatFindsItsOwnWay(unittest.IsolatedAsyncioTestCase):
    """One authority and one agent for all tests."""

    authority: Authority
    agent: Agent

    @classmethod
    def setUpClass(cls) -> None:
        cls.authority = Authority()
        cls.addClassCleanup(cls.authority.stop)
        # An explicit exception: the Python client cannot bind its token to a key.
        cls.authority.add_server(EVERYTHING.name, EVERYTHING.command, "--allow-bearer", "1h")
        cls.agent = cls.authority.register_agent(EVERYTHING.name, EVERYTHING.permitted[0])
        cls.resource = cls.authority.resource(EVERYTHING.name)

    async def test_official_client_obtains_and_uses_a_token(self) -> None:
        storage = Memory()
        signed = SignedJWTParameters(
            issuer=self.agent.id,
            subject=self.agent.id,
            signing_key=self.agent.key.as_pem(private=True).decode(),
            signing_algorithm="ES256",
            lifetime_seconds=60,
        )
        provider = PrivateKeyJWTOAuthProvider(
            server_url=self.resource,
            storage=storage,
            client_id=self.agent.id,
            assertion_provider=signed.create_assertion_provider(),
            issuer=self.authority.url,
        )
        async with connected(self.resource, provider, "2026-07-28") as client:
            self.assertIn(EVERYTHING.answer, await answer(client.call_tool(*EVERYTHING.permitted)))
            self.assertNotEqual(await refusal(client.call_tool(*EVERYTHING.denied)), "")
        assert storage.tokens is not None
        await self.judge(storage.tokens.access_token)

    async def test_assertion_signed_by_authlib_is_accepted_once(self) -> None:
        async with httpx2.AsyncClient() as http:
            metadata = await self.metadata(http)
            form = self.form(metadata["issuer"])
            answered = await http.post(metadata["token_endpoint"], data=form)
            self.assertEqual(answered.status_code, 200, answered.text)
            self.assertEqual(answered.headers["cache-control"], "no-store")
            await self.judge(answered.json()["access_token"])

            replayed = await http.post(metadata["token_endpoint"], data=form)
            self.assertIn(replayed.status_code, (400, 401))
            self.assertEqual(replayed.json()["error"], "invalid_client")

    async def test_assertion_for_another_audience_is_refused(self) -> None:
        async with httpx2.AsyncClient() as http:
            metadata = await self.metadata(http)
            form = self.form("https://elsewhere.example")
            refused = await http.post(metadata["token_endpoint"], data=form)
            self.assertIn(refused.status_code, (400, 401))
            self.assertEqual(refused.json()["error"], "invalid_client")

    def form(self, audience: str) -> dict[str, str]:
        assertion = private_key_jwt_sign(
            self.agent.key, self.agent.id, audience, alg="ES256", expires_in=60
        )
        return {
            "grant_type": "client_credentials",
            "resource": self.resource,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }

    async def metadata(self, http: httpx2.AsyncClient) -> dict:
        well_known = f"{self.authority.url}/.well-known/oauth-authorization-server"
        answered = await http.get(well_known)
        self.assertEqual(answered.status_code, 200)
        metadata = answered.json()
        self.assertEqual(metadata["issuer"], self.authority.url)
        return metadata

    async def judge(self, token: str) -> None:
        """Verifies `token` with the published keys, as a resource server of someone else would."""
        async with httpx2.AsyncClient() as http:
            metadata = await self.metadata(http)
            keys = KeySet.import_key_set((await http.get(metadata["jwks_uri"])).json())
        verified = jwt.decode(token, keys, algorithms=["ES256"])
        self.assertEqual(verified.header["typ"], "at+jwt")
        rules = jwt.JWTClaimsRegistry(
            now=int(time.time()),
            leeway=5,
            iss={"essential": True, "value": self.authority.url},
            aud={"essential": True, "value": self.resource},
            client_id={"essential": True, "value": self.agent.id},
            sub={"essential": True},
            jti={"essential": True},
            exp={"essential": True},
        )
        rules.validate(verified.claims)
        self.assertLessEqual(verified.claims["exp"] - verified.claims["iat"], 900)
