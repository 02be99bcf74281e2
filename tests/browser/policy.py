"""Open pages in a real browser and print, as JSON, what each of them broke; `test_policy` runs
this.

A process of its own: the browser's library runs an event loop that database tests in the same
process cannot bear.
"""

import json
import sys
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
LISTEN = """
document.addEventListener("securitypolicyviolation", event =>
    console.log("VIOLATION " + event.violatedDirective + " " + event.blockedURI + " " + event.sourceFile));
"""


def watch(page: Page, address: str) -> list[str]:
    """Return a list that fills with violations, errors, and requests to anywhere but the
    address.
    """
    found: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.location["url"].endswith("/favicon.ico"):
            return  # a browser asks for it by itself
        if message.type == "error" or message.text.startswith("VIOLATION"):
            found.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "request",
        lambda it: None if it.url.startswith((address, "data:")) else found.append(it.url),
    )
    return found


def visit(page: Page, asked: dict[str, Any], path: str) -> None:
    """Open one page, and click what is to be clicked there."""
    page.goto(asked["address"] + path, wait_until="load")
    for selector in asked["clicks"].get(path, ["body"]):
        page.wait_for_selector(selector, timeout=20_000)
        if selector != "body":
            page.click(selector)
    page.wait_for_timeout(50)


def main() -> None:
    """Read `{"address", "session", "paths", "clicks": {path: [selector…]}}` and write `{path:
    [what was found]}`.
    """
    asked = json.load(sys.stdin)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context()
        context.add_init_script(LISTEN)
        context.add_cookies(
            [{"name": "sessionid", "value": asked["session"], "url": asked["address"]}]
        )
        page = context.new_page()
        found = watch(page, asked["address"])
        answer = {}
        for path in asked["paths"]:
            visit(page, asked, path)
            answer[path], found[:] = list(found), []
        browser.close()
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
