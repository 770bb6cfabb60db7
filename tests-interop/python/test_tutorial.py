"""The pages of docs/ with a terminal and curl: what a reader copies from there works, and answers as the page says."""

import json
import os
import pathlib
import re
import sys
import tempfile
import unittest
from urllib.parse import parse_qs, quote, urlsplit

from authority import PROGRAM, Authority
from pages import Step, Terminal, blocks, steps
from people import approve

START = "getting-started.md"
TOKENS = "tokens.md"
DELEGATION = "delegation.md"


class Reader(unittest.TestCase):
    """One reader, who begins where the authority is up and its first person is named."""

    def setUp(self) -> None:
        self.authority = Authority()
        self.addCleanup(self.authority.stop)
        folder = tempfile.TemporaryDirectory(prefix="chancery-reader-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "chancery").symlink_to(PROGRAM)
        interpreter = pathlib.Path(sys.executable).parent
        path = os.environ["PATH"]
        self.terminal = Terminal(
            self.folder,
            {
                "PATH": f"{self.folder}:{interpreter}:{path}",
                "CHANCERY_DATA": str(self.authority.data),
            },
        )
        self.terminal.put_in["http://127.0.0.1:7420"] = self.authority.url
        # The authority of these suites was started without the program in its path.
        self.terminal.put_in["-- chancery desk"] = f"-- {PROGRAM} desk"

    def follow(self, page: str, section: str) -> list[tuple[Step, str]]:
        """Types all of a section; what is shown as JSON must come, member by member."""
        done = []
        for step in steps(page, section):
            printed = self.terminal.types(step)
            if step.shown.startswith("{"):
                self.assert_shown(step, json.loads(printed))
            done.append((step, printed))
        return done

    def assert_shown(self, step: Step, answer: dict) -> None:
        """Every member that the page shows is there, and the errors and types that it shows are those that came."""
        there = json.dumps(answer, ensure_ascii=False)
        for member in re.findall(r'"([a-z_]+)":', step.shown):
            self.assertIn(f'"{member}":', there, step.command)
        for member in ("error", "token_type", "expires_in", "decision"):
            shown = re.search(rf'"{member}":("[^"…]*"|\w+)', step.shown)
            if shown:
                self.assertEqual(answer[member], json.loads(shown[1]), step.command)

    def write(self, page: str, language: str, section: str, name: str) -> None:
        """Saves what a page shows as a file."""
        (text,) = blocks(page, language, section)
        (self.folder / name).write_text(text, encoding="utf-8")

    def begin(self) -> None:
        """The walk of the first page up to an agent that works, and the scripts of the second."""
        first = steps(START, "4. The agent's key, its tools, its identity")
        for step in first[:-1]:
            self.terminal.types(step)
        self.write(START, "yaml", "4. The agent's key, its tools, its identity", "helper.yaml")
        self.terminal.types(first[-1])
        agent = self.authority.command("agent", "show", "helper")
        assert agent is not None
        self.terminal.put_in["agt_…"] = agent["id"]
        for script in blocks(TOKENS, "python"):
            name = re.match(r"# (\w+\.py)", script)
            assert name is not None
            (self.folder / name[1]).write_text(script, encoding="utf-8")
        for step in steps(TOKENS, "By an assertion"):
            self.terminal.types(step)

    def test_first_page_leads_to_an_agent_that_works_and_stops(self) -> None:
        self.begin()
        *_, (_, called) = self.follow(START, "5. Be the agent")
        self.assertIn("ord_1001", called)
        self.write(START, "cedar", "6. Set a limit", "refund-limit.cedar")
        *_, (_, explained) = self.follow(START, "6. Set a limit")
        self.assertIn("refunds above 100 need a person", explained)
        self.follow(START, "7. Read the record")
        self.follow(START, "8. Stop")
        call = steps(START, "5. Be the agent")[-1]
        self.assertNotIn("ord_1001", self.terminal.types(call))

    def test_tokens_are_fetched_asked_about_and_given_back(self) -> None:
        self.begin()
        *_, (_, bound) = self.follow(TOKENS, "Asking for a token")
        self.assertEqual(json.loads(bound)["token_type"], "DPoP")

        key, register, mint, ask, own, *ask_with_own = steps(TOKENS, "For an API of your own")
        self.terminal.types(key)
        self.terminal.types(register)
        resources = self.authority.command("resource", "list")
        assert resources is not None
        self.terminal.put_in["rsc_…"] = resources["items"][0]["id"]
        minted = json.loads(self.terminal.types(Step(f"{mint.command} --json", "")))
        self.terminal.environment["TOKEN"] = minted["access_token"]
        self.assert_shown(ask, json.loads(self.terminal.types(ask)))
        fetched = json.loads(self.terminal.types(own))
        self.assert_shown(own, fetched)
        self.terminal.environment["OWN"] = fetched["access_token"]
        plain, signed = (self.terminal.types(step) for step in ask_with_own)
        self.assertTrue(json.loads(plain)["active"])
        self.assertEqual(signed.count("."), 2, "a JWT")

        give_back = steps(TOKENS, "Revoking")[0]
        self.terminal.types(give_back)
        self.assertFalse(json.loads(self.terminal.types(ask_with_own[0]))["active"])

        decide = steps(TOKENS, "Decisions for other enforcement points")[0]
        self.write(START, "cedar", "6. Set a limit", "refund-limit.cedar")
        self.follow(START, "6. Set a limit")
        self.assert_shown(decide, json.loads(self.terminal.types(decide)))

    def test_person_is_asked_and_the_code_fetches_tokens(self) -> None:
        self.begin()
        self.follow(DELEGATION, "Where answers may go")
        *pushing, fresh, proof, redeem = steps(DELEGATION, "The same with curl")
        for step in pushing:
            pushed = self.terminal.types(step)
        request = json.loads(pushed)["request_uri"]
        agent = self.terminal.put_in["agt_…"]
        url = f"{self.authority.url}/oauth/authorize?client_id={agent}&request_uri={quote(request)}"
        answer = parse_qs(urlsplit(approve(self.authority, url)).query)
        self.assertEqual(answer["iss"], [self.authority.url])
        self.terminal.put_in["chc_…"] = answer["code"][0]
        for step in (fresh, proof):
            self.terminal.types(step)
        self.assert_shown(redeem, json.loads(self.terminal.types(redeem)))

    def test_device_is_told_to_wait(self) -> None:
        self.begin()
        for step in steps(DELEGATION, "The same with curl"):
            if step.command.startswith(("JKT=", "NONCE=")):
                self.terminal.types(step)
        ask, proof, wait = steps(DELEGATION, "Where no browser is")[1:]
        asked = json.loads(self.terminal.types(ask))
        self.assert_shown(ask, asked)
        self.terminal.put_in["chd_…"] = asked["device_code"]
        self.terminal.types(proof)
        self.assert_shown(wait, json.loads(self.terminal.types(wait)))


if __name__ == "__main__":
    unittest.main()
