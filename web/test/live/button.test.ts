// The button in a real browser, with real redirects and cookies, against `cargo dev`.

import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";

import { startBrowser } from "../browser.js";
import {
  connections,
  consent,
  control,
  grantkeep,
  live,
  OTHER_SITE,
  READ,
  reset,
  SAME_SITE,
  STRANGER,
} from "./support.js";

let browser: Browser;
let page: Page;

beforeAll(async () => void (browser = await startBrowser()));
afterAll(() => browser?.close());

beforeEach(async () => {
  await reset();
  page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(10_000);
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") {
    const shown = await page.locator("body").innerText();
    console.error(`${task.name} ended at ${page.url()}\n${shown}`);
  }
  await page.context().close();
});

const press = (name: string) => page.getByRole("button", { name }).click();
const says = (text: string) => page.getByText(text).waitFor();

/** Signs in at Grantkeep, then opens the application. */
async function open(site: string): Promise<void> {
  await page.goto(live.connectPage);
  await page.goto(`${site}/by-cookie?tab=mail#top`);
  await page.locator("#standing", { hasNotText: "loading" }).waitFor();
}

test("connects by the cookie, and comes back to a clean address", async () => {
  await open(SAME_SITE);

  await press("Connect Gmail");
  await consent(page);

  await says("Gmail is connected as alice@example.test");
  await says("gmail alice@example.test active");
  expect(await page.locator("#outcome").textContent()).toBe("connected");
  expect(page.url()).toBe(`${SAME_SITE}/by-cookie?tab=mail#top`);
});

test("a user who left something out is told, and can make up for it", async () => {
  await open(SAME_SITE);
  await press("Connect Gmail");
  await consent(page, { untick: READ });
  await says("not everything was allowed. Missing: gmail.readonly.");

  await press("Allow more in Gmail");
  await consent(page);

  await says("Gmail is connected as alice@example.test");
  expect(await connections()).toHaveLength(1);
});

test("a user who says no is told, and may change their mind", async () => {
  await open(SAME_SITE);
  await press("Connect Gmail");
  await consent(page, { deny: true });
  await says("Gmail was not connected, because access was not allowed.");
  expect(page.url()).toBe(`${SAME_SITE}/by-cookie?tab=mail#top`);

  await press("Connect Gmail");
  await consent(page);

  await says("Gmail is connected as alice@example.test");
});

test("a dead grant is reconnected with the same account", async () => {
  await open(SAME_SITE);
  await press("Connect Gmail");
  await consent(page, { account: "bob@example.test" });
  await says("Gmail is connected as bob@example.test");
  const token = (await grantkeep("GET", "/api/token?provider=gmail")).body["access_token"];
  await control("POST", "kill-grants");
  await grantkeep("POST", "/api/token", { provider: "gmail", rejected: token });

  await page.reload();
  await says("bob@example.test does not let this app in any more.");
  await press("Reconnect Gmail");
  await consent(page);

  await says("Gmail is connected as bob@example.test");
  expect(await connections()).toMatchObject([{ account: "bob@example.test", status: "active" }]);
});

test("reconnecting with another account is refused in words", async () => {
  await open(SAME_SITE);
  await press("Connect Gmail");
  await consent(page, { untick: READ });
  await press("Allow more in Gmail");

  await consent(page, { account: "carol@example.test" });

  await says("That was another Gmail account than the one that is connected.");
  expect(await connections()).toMatchObject([{ account: "alice@example.test" }]);
});

test("disconnects, and the tokens are gone", async () => {
  await open(SAME_SITE);
  await press("Connect Gmail");
  await consent(page);
  await says("Gmail is connected as");

  await press("Disconnect Gmail");
  await press("Yes, disconnect Gmail");

  await page.getByRole("button", { name: "Connect Gmail" }).waitFor();
  expect(await connections()).toEqual([]);
  expect((await grantkeep("GET", "/api/token?provider=gmail")).status).toBe(404);
});

test("back from the consent page by the browser's own button, it can be pressed again", async () => {
  await open(SAME_SITE);
  await press("Connect Gmail");
  await page.waitForURL(`${live.demo}/**`);

  await page.goBack();
  await press("Connect Gmail");
  await consent(page);

  await says("Gmail is connected as alice@example.test");
});

test("on another site it works by a session, and no cookie travels", async () => {
  const cookies: (string | undefined)[] = [];
  page.on("request", async (request) => {
    if (request.url().startsWith(`${live.url}/api/connections`)) {
      cookies.push((await request.allHeaders())["cookie"]);
    }
  });
  // Signed in at Grantkeep as well: header and cookie in one request would be refused.
  await page.goto(live.connectPage);
  await page.goto(`${OTHER_SITE}/by-session`);

  await press("Connect Gmail");
  await consent(page);
  await says("Gmail is connected as alice@example.test");
  await press("Disconnect Gmail");
  await press("Yes, disconnect Gmail");
  await page.getByRole("button", { name: "Connect Gmail" }).waitFor();

  expect(cookies.length).toBeGreaterThan(2);
  expect(new Set(cookies)).toEqual(new Set([undefined]));
});

test("on another site the cookie does not count, and the user is told", async () => {
  await open(OTHER_SITE);

  await says("You are signed out. Sign in and try again.");
});

test("a page that RETURN_TO_ORIGINS does not name learns nothing", async () => {
  await page.goto(`${STRANGER}/by-session`);

  await says("Your connections cannot be reached.");
  expect(await page.locator("#standing").textContent()).toBe("unreachable");
});

test("people without a mouse get everywhere, and do not lose their place", async () => {
  await open(SAME_SITE);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await consent(page);
  await says("Gmail is connected as");

  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const focused = () => page.evaluate("document.activeElement.textContent");
  expect(await focused()).toBe("Keep it");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");

  await page.getByRole("button", { name: "Connect Gmail" }).waitFor();
});

test("it passes the rules of WCAG in each of its states", async () => {
  const violations = async () => {
    await page.evaluate(axe.source);
    const { violations } = (await page.evaluate("axe.run()")) as axe.AxeResults;
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join()}`);
  };
  await open(SAME_SITE);
  expect(await violations()).toEqual([]);

  await press("Connect Gmail");
  await consent(page, { deny: true });
  await page.getByRole("alert").waitFor();
  expect(await violations()).toEqual([]);

  await press("Connect Gmail");
  await consent(page, { untick: READ });
  await says("not everything was allowed");
  expect(await violations()).toEqual([]);

  await press("Disconnect Gmail");
  await page.getByRole("button", { name: "Keep it" }).waitFor();
  expect(await violations()).toEqual([]);
});
