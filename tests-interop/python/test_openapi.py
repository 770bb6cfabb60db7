"""Schemathesis reads our OpenAPI document and asks every operation in it what a schema allows, what it does not, and
nonsense: nothing fails inside, and nothing is answered that the document does not tell."""

import re
import subprocess
import sys
import unittest

from authority import Authority

CHECKS = ",".join(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "allow_header_conformance",
        "unsupported_method",
        "ignored_auth",
    ]
)


class OpenApi(unittest.TestCase):
    """One authority, whose local administrator asks."""

    def test_document_tells_every_answer(self) -> None:
        """What a failure says names the request that brings it about."""
        authority = Authority()
        self.addCleanup(authority.stop)
        line = [sys.executable, "-m", "schemathesis.cli", "run", f"{authority.url}/openapi.json"]
        line += ["--header", f"Authorization: Bearer {authority.administrator()}", "--checks", CHECKS]
        line += ["--phases", "coverage,fuzzing", "--max-examples", "5", "--seed", "1", "--no-color"]
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
        self.assertEqual(done.returncode, 0, done.stdout[-8_000:])
        # It found the operations, and did not pass over them.
        selected, tested = (re.search(rf"{word}: (\d+)", done.stdout) for word in ["Selected", "Tested"])
        assert selected and tested, done.stdout
        self.assertGreater(int(tested[1]), 60)


if __name__ == "__main__":
    unittest.main()
