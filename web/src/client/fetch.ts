// A provider's API called with a token that is put right once.

import { isSafe } from "../http.js";
import type { TokenRequest, Tokens } from "./tokens.js";

/**
 * Like `fetch`, with the connection's access token. When the API answers 401, the token is
 * reported as rejected and the request is sent once more with the new one, if its body can be
 * sent twice (a stream cannot).
 */
export async function fetchWithToken(
  tokens: Tokens,
  send: typeof fetch,
  wanted: TokenRequest,
  input: string | URL,
  init: RequestInit = {},
): Promise<Response> {
  const url = new URL(input);
  if (!isSafe(url)) throw new TypeError("a token is sent over https only (http on loopback)");
  const signal = init.signal ?? undefined;
  const call = (token: string) => {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${token}`);
    return send(url, { ...init, headers });
  };
  const first = await tokens.accessToken(wanted, { signal });
  const answer = await call(first.accessToken);
  if (answer.status !== 401 || isStream(init.body)) return answer;
  // Nobody reads it, and until somebody does it holds its connection.
  await answer.body?.cancel();
  const second = await tokens.accessToken(wanted, { signal, rejected: first.accessToken });
  return call(second.accessToken);
}

function isStream(body: unknown): boolean {
  return typeof ReadableStream !== "undefined" && body instanceof ReadableStream;
}
