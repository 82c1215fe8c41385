// Sessions: what an application's server signs for its logged-in user (docs/api.md#sessions).

/** Who the session is for, and how long. */
export interface SessionRequest {
  /** SESSION_SECRET of Grantkeep. */
  secret: string;
  /** The logged-in user, by the application's own id. */
  actor: string;
  /** The tenant; `default` when absent. */
  workspace?: string | undefined;
  /** Seconds, 120 when absent. Short ones are fine: a page asks for another when it needs one. */
  seconds?: number | undefined;
}

/** A signed session, for `?session=` and `Authorization: Bearer`. */
export async function signSession(wanted: SessionRequest): Promise<string> {
  const { secret, actor, workspace = "default", seconds = 120 } = wanted;
  const bytes = new TextEncoder();
  if (bytes.encode(secret).length < 32) throw new TypeError("secret must have 32 bytes or more");
  if (actor === "") throw new TypeError("actor must not be empty");
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: actor, workspace, aud: "grantkeep", iat: now, exp: now + seconds };
  const signed = [{ alg: "HS256", typ: "JWT" }, claims]
    .map((part) => base64url(bytes.encode(JSON.stringify(part))))
    .join(".");
  const key = await crypto.subtle.importKey(
    "raw",
    bytes.encode(secret),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  const signature = await crypto.subtle.sign("HMAC", key, bytes.encode(signed));
  return `${signed}.${base64url(new Uint8Array(signature))}`;
}

function base64url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
