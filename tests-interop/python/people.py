"""What a person does in a browser, where no browser is the point: reads the question, and says yes."""

import html
import re
from urllib.parse import urljoin

import requests
from authority import Authority


def approve(authority: Authority, url: str) -> str:
    """The person opens the link and agrees; answers with where the browser is sent."""
    browser = requests.Session()
    browser.headers["authorization"] = f"Bearer {authority.login()}"
    page = browser.get(url, timeout=10)
    assert page.status_code == 200, page.text
    hidden = re.findall(r'<input type="hidden" name="(.*?)" value="(.*?)"', page.text)
    form = {name: html.unescape(value) for name, value in hidden} | {"answer": "approve"}
    target = urljoin(url, "/oauth/authorize/decide")
    answered = browser.post(target, data=form, allow_redirects=False, timeout=10)
    return answered.headers["location"]
