"""Runs the suites of this folder and closes with the lines that a TAP reader counts."""

import logging
import pathlib
import sys
import unittest


def main() -> int:
    """Answers 0 when every test passed."""
    # unittest turns on asyncio's debugging, which then tells of every step that took its time.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    folder = pathlib.Path(__file__).parent
    suite = unittest.defaultTestLoader.discover(str(folder), pattern="test_*.py")
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(suite)
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    print(f"# pass {max(result.testsRun - failed - skipped, 0)}")
    print(f"# fail {failed}")
    print(f"# skipped {skipped}")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
