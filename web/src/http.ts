// One JSON request with a time limit, and its failures as GrantkeepError.

import { errorOf, GrantkeepError, isObject } from "./errors.js";

/** A request to Grantkeep. */
export interface JsonRequest {
  fetch: typeof fetch;
  url: string;
  init: RequestInit;
  /** Milliseconds for the whole of it, body included. */
  timeout: number;
  signal?: AbortSignal | undefined;
}

/**
 * The members of a 2xx answer's JSON; everything else is thrown. A redirect is not followed: the
 * credentials are for this address alone.
 */
export async function requestJson(request: JsonRequest): Promise<Record<string, unknown>> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), request.timeout);
  const callerAborts = () => limit.abort(request.signal?.reason);
  request.signal?.addEventListener("abort", callerAborts, { once: true });
  if (request.signal?.aborted) callerAborts();
  try {
    // Browsers refuse to run it as a method of something else than the window.
    const { fetch: send } = request;
    const response = await send(request.url, {
      ...request.init,
      redirect: "manual",
      signal: limit.signal,
    });
    const body: unknown = parse(await response.text());
    if (response.ok && isObject(body)) return body;
    if (response.ok || response.type === "opaqueredirect") throw notGrantkeep(response.status);
    throw errorOf(response.status, response.headers, body);
  } catch (error) {
    if (error instanceof GrantkeepError) throw error;
    if (request.signal?.aborted) throw request.signal.reason;
    if (limit.signal.aborted) {
      throw new GrantkeepError(
        { code: "timeout", detail: `no answer within ${request.timeout} ms` },
        { cause: error },
      );
    }
    const origin = new URL(request.url).origin;
    throw new GrantkeepError(
      {
        code: "unreachable",
        detail: `${origin} did not answer: check the address, and for pages RETURN_TO_ORIGINS`,
      },
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
    request.signal?.removeEventListener("abort", callerAborts);
  }
}

/**
 * An origin without a slash at the end. Throws a TypeError for what is no address, and for plain
 * http to another machine, where credentials could be read on the way.
 */
export function originOf(address: string, name: string): string {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    throw new TypeError(`${name} must be an origin such as https://auth.example.com`);
  }
  if (!isSafe(url)) throw new TypeError(`${name} must be https (plain http only on loopback)`);
  return url.origin;
}

/** Whether credentials may travel there. */
export function isSafe(url: URL): boolean {
  const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
  return url.protocol === "https:" || (url.protocol === "http:" && loopback);
}

function notGrantkeep(status: number): GrantkeepError {
  const detail = "something else than Grantkeep answered: check its address";
  return new GrantkeepError({ code: "unexpected_answer", detail, status: status || undefined });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
