// The blocks of docs/frontend.md, as they stand there.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { startBrowser } from "../browser.js";
import { AUTH, block } from "./snippets.js";
import {
  connectAlice,
  connections,
  consent,
  control,
  live,
  OTHER_SITE,
  READ,
  reset,
  SAME_SITE,
} from "./support.js";

let browser: Browser;
let page: Page;

beforeAll(async () => void (browser = await startBrowser()));
afterAll(() => browser?.close());

beforeEach(async () => {
  await reset();
  page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(10_000);
  const user = { name: "app_user", value: "default" };
  await page.context().addCookies([SAME_SITE, OTHER_SITE].map((url) => ({ ...user, url })));
});
afterEach(() => page.context().close());

const press = (name: string) => page.getByRole("button", { name }).click();
const says = (text: string) => page.getByText(text).waitFor();

describe("the button in plain HTML", () => {
  test.each([
    ["on Grantkeep's own site", SAME_SITE],
    ["on another site", OTHER_SITE],
  ])("connects %s", async (_, site) => {
    await page.goto(`${site}/docs/html?tab=mail`);

    await press("Connect Gmail");
    await consent(page);

    await says("Connected as alice@example.test.");
    expect(page.url()).toBe(`${site}/docs/html?tab=mail`);
    expect(await page.getByRole("button").count()).toBe(0);
  });

  test("tells a refusal, and what was left out, and tries again", async () => {
    await page.goto(`${SAME_SITE}/docs/html`);
    await press("Connect Gmail");
    await consent(page, { deny: true });
    await says("Not connected, because access was not allowed.");

    await press("Connect Gmail");
    await consent(page, { untick: READ });
    await says("Connected, but not everything was allowed.");

    await press("Reconnect Gmail");
    await consent(page);
    await says("Connected as alice@example.test.");
  });

  test("tells who is signed out", async () => {
    await page.context().clearCookies();
    await page.goto(`${SAME_SITE}/docs/html`);

    await says("Sign in first.");
  });
});

test("the button in React connects", async () => {
  await page.goto(`${OTHER_SITE}/docs/react`);

  await press("Connect Gmail");
  await consent(page);

  await says("Gmail is connected as alice@example.test");
  expect(await connections()).toHaveLength(1);
});

describe("the function in TypeScript", () => {
  const inbox = (user = "default") =>
    fetch(`${SAME_SITE}/api/inbox`, { headers: { cookie: `app_user=${user}` } });

  test("answers the inbox of the logged-in user", async () => {
    await connectAlice(page);

    const answer = await inbox();

    expect(answer.status).toBe(200);
    expect(await answer.json()).toHaveProperty("resultSizeEstimate");
  });

  test("gets over a token that was ended early", async () => {
    await connectAlice(page);
    expect((await inbox()).status).toBe(200);
    await control("POST", "expire-access-tokens");

    expect((await inbox()).status).toBe(200);
  });

  test("says where the user can connect", async () => {
    const answer = await inbox("somebody");

    expect(answer.status).toBe(409);
    expect(await answer.json()).toEqual({
      code: "not_connected",
      connect_url: `${live.url}/api/oauth/gmail/authorize`,
    });
  });

  test("has nothing for nobody", async () => {
    expect((await fetch(`${SAME_SITE}/api/inbox`)).status).toBe(401);
    expect((await fetch(`${SAME_SITE}/api/grantkeep-session`)).status).toBe(401);
  });
});

test("the blocks in TypeScript hold under the strict compiler", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  // Below the package, where its types are found.
  const folder = mkdtempSync(join(root, "node_modules/.docs-"));
  try {
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    writeFileSync(join(folder, "auth.ts"), AUTH);
    writeFileSync(join(folder, "session.ts"), block("ts session"));
    writeFileSync(join(folder, "inbox.ts"), block("ts token"));
    const modules = ["--module", "nodenext", "--moduleResolution", "nodenext", "--skipLibCheck"];
    const checks = ["--strict", "--noUncheckedIndexedAccess", "--noEmit", "--types", "node"];
    const files = ["session.ts", "inbox.ts"];
    const tsc = join(root, "node_modules/.bin/tsc");
    execFileSync(tsc, ["--target", "es2022", ...modules, ...checks, ...files], { cwd: folder });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
