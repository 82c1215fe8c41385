// The client for servers against `cargo dev` and its demo Gmail.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";

import { createClient } from "../../src/client/index.js";
import { startBrowser } from "../browser.js";
import { connectAlice, control, live, READ, reset } from "./support.js";

let browser: Browser;
let page: Page;

beforeAll(async () => {
  browser = await startBrowser();
  page = await browser.newPage();
});
afterAll(() => browser?.close());
beforeEach(reset);

const client = createClient({ baseUrl: live.url, key: live.key });
const gmail = { provider: "gmail" };

test("a token comes with its scopes, its account and its end", async () => {
  await connectAlice(page);

  const token = await client.accessToken({ ...gmail, scope: READ });

  expect(token).toMatchObject({ account: "alice@example.test", persisted: true });
  expect(token.scopes).toContain(READ);
  expect(token.expiresAt?.getTime()).toBeGreaterThan(Date.now() + 3_000_000);
});

test("nothing connected comes with the address for the user", async () => {
  await expect(client.accessToken(gmail)).rejects.toMatchObject({
    code: "not_connected",
    needsUser: true,
    connectUrl: `${live.url}/api/oauth/gmail/authorize`,
  });
});

test("a token that Gmail does not take any more is replaced on the way, once for all", async () => {
  await connectAlice(page);
  await client.accessToken(gmail);
  await control("POST", "expire-access-tokens");
  await control("DELETE", "requests");

  const profile = `${live.demo}/gmail/v1/users/me/profile`;
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => client.fetchWithToken(gmail, profile)),
  );

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect(await answers[0]?.json()).toMatchObject({ emailAddress: "alice@example.test" });
  const asked = (await control("GET", "requests")) as { endpoint: string }[];
  expect(asked.filter(({ endpoint }) => endpoint === "/token")).toHaveLength(1);
});
