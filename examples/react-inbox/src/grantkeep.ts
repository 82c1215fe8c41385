// Grantkeep's session routes, called from the page.

/** Where Grantkeep is; vite.config.ts puts it here. */
export const GRANTKEEP: string = import.meta.env.VITE_GRANTKEEP_URL;

/** A session for the logged-in user, from the application's own server. */
export async function session(): Promise<string> {
  const answer = await fetch("/api/grantkeep-session");
  if (!answer.ok) throw new Error("signed out");
  return answer.text();
}

/** What Grantkeep answers; its own words where it refuses. */
export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const headers = new Headers(init.headers);
  headers.set("authorization", `Bearer ${await session()}`);
  const answer = await fetch(GRANTKEEP + path, { ...init, headers });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `status ${answer.status}`);
  return body as T;
}
