// Grantkeep, the demo provider and a browser, as the live tests use them.

import type { Page } from "playwright-core";
import { inject } from "vitest";

export const live = inject("live");

export const READ = "https://www.googleapis.com/auth/gmail.readonly";

/** The application on Grantkeep's own site, and on another one. */
export const SAME_SITE = `http://127.0.0.1:${live.appPort}`;
export const OTHER_SITE = `http://localhost:${live.appPort}`;
/** The same pages at an origin that RETURN_TO_ORIGINS does not name. */
export const STRANGER = `http://stranger.localhost:${live.appPort}`;

/** A request to Grantkeep with the service key. */
export async function grantkeep(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: Record<string, never> }> {
  const answer = await fetch(live.url + path, {
    method,
    headers: { authorization: `Bearer ${live.key}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, never> };
}

/** Steers the demo provider. */
export async function control(method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(`${live.demo}/control/${path}`, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

export async function connections(): Promise<{ id: string; account: string; status: string }[]> {
  return (await grantkeep("GET", "/api/connections")).body["connections"] ?? [];
}

/** As before the first consent. */
export async function reset(): Promise<void> {
  for (const { id } of await connections()) await grantkeep("DELETE", `/api/connections/${id}`);
  const knobs = Object.keys((await control("GET", "knobs")) as object);
  await control("PATCH", "knobs", Object.fromEntries(knobs.map((knob) => [knob, null])));
  await control("DELETE", "requests");
}

/** Makes choices on the demo provider's consent page, and leaves it. */
export async function consent(
  page: Page,
  choices: { untick?: string; account?: string; deny?: boolean } = {},
): Promise<void> {
  await page.waitForURL(`${live.demo}/**`);
  if (choices.account) await page.check(`input[value="${choices.account}"]`);
  if (choices.untick) await page.uncheck(`input[value="${choices.untick}"]`);
  await page.getByRole("button", { name: choices.deny ? "Deny" : "Allow" }).click();
}

/** Connects alice without a browser's page in between. */
export async function connectAlice(page: Page): Promise<void> {
  const session = new URL(live.connectPage).searchParams.get("session") ?? "";
  await page.goto(`${live.url}/api/oauth/gmail/authorize?session=${session}`);
  await consent(page);
  await page.waitForURL(`${live.url}/connect**`);
}
