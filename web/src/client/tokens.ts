// Access tokens for servers: one request to /api/token, with a service key.

import { GrantkeepError } from "../errors.js";
import { originOf, requestJson } from "../http.js";

/** Milliseconds. An answer may wait for a refresh that another instance is doing: 28 s at the most. */
const TIMEOUT = 35_000;

/** Where Grantkeep is and what opens it. */
export interface ClientOptions {
  /** Grantkeep's origin; the environment's GRANTKEEP_URL when absent. */
  baseUrl?: string | undefined;
  /** A service key with `read`; the environment's GRANTKEEP_KEY when absent. */
  key?: string | undefined;
  /** Milliseconds to wait for an answer; 35 000 when absent. */
  timeout?: number | undefined;
  /**
   * Seconds for which an answer may be given again without asking: 0 when absent. What is
   * revoked or disconnected meanwhile is not noticed until then. Never beyond 60 seconds
   * before the token's end.
   */
  cacheSeconds?: number | undefined;
  /** Another `fetch`. */
  fetch?: typeof fetch | undefined;
}

/** Whose token, and what it has to be good for. */
export interface TokenRequest {
  /** Such as `gmail`. */
  provider: string;
  /** `default` when absent. */
  workspace?: string | undefined;
  /** `default` when absent. */
  actor?: string | undefined;
  /** Needed where the actor has several at this provider. */
  account?: string | undefined;
  /** Scopes that the token has to be good for. */
  scope?: string | readonly string[] | undefined;
  /** Seconds that it should work yet. */
  minTtl?: number | undefined;
}

/** What else a caller can say. */
export interface AskOptions {
  /** An access token that the provider's API answered 401 to: it is refreshed if it is the stored one. */
  rejected?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** An access token that works. */
export interface AccessToken {
  readonly accessToken: string;
  readonly tokenType: string;
  /** Null where the provider does not say. */
  readonly expiresAt: Date | null;
  /** What was granted. */
  readonly scopes: readonly string[];
  readonly connectionId: string;
  readonly provider: string;
  readonly workspace: string;
  readonly actor: string;
  readonly account: string;
  /** False when a refreshed token could not be saved: it works all the same. */
  readonly persisted: boolean;
}

interface Kept {
  token: AccessToken;
  until: number;
}

/** Answers that were kept, at the most. */
const KEPT = 1000;

/** Asks for tokens. */
export class Tokens {
  private readonly options: ClientOptions;
  private readonly kept = new Map<string, Kept>();

  constructor(options: ClientOptions) {
    this.options = options;
  }

  /** A token that works. Throws GrantkeepError; `needsUser` tells whether `connectUrl` helps. */
  async accessToken(wanted: TokenRequest, ask: AskOptions = {}): Promise<AccessToken> {
    const name = nameOf(wanted);
    const kept = this.kept.get(name);
    if (kept && kept.until > Date.now() && kept.token.accessToken !== ask.rejected) {
      return kept.token;
    }
    this.kept.delete(name);
    const token = readToken(await this.request(wanted, ask));
    this.keep(name, token, wanted.minTtl ?? 0);
    return token;
  }

  private async request(wanted: TokenRequest, ask: AskOptions): Promise<Record<string, unknown>> {
    const { baseUrl, key, timeout, fetch: given } = this.options;
    const origin = originOf(baseUrl ?? fromEnvironment("GRANTKEEP_URL"), "GRANTKEEP_URL");
    const scope = wanted.scope === undefined ? undefined : [wanted.scope].flat().join(" ");
    const { provider, workspace, actor, account, minTtl } = wanted;
    // A POST in either case: names of people have no place in the logs of addresses.
    const body = { provider, workspace, actor, account, scope, min_ttl: minTtl };
    return requestJson({
      fetch: given ?? fetch,
      url: `${origin}/api/token`,
      init: {
        method: "POST",
        headers: {
          authorization: `Bearer ${key ?? fromEnvironment("GRANTKEEP_KEY")}`,
          "content-type": "application/json",
        },
        body: JSON.stringify({ ...body, rejected: ask.rejected }),
        // Frameworks that keep answers of `fetch` must not keep this one.
        cache: "no-store",
      },
      timeout: timeout ?? TIMEOUT,
      signal: ask.signal,
    });
  }

  private keep(name: string, token: AccessToken, minTtl: number): void {
    const wanted = Date.now() + (this.options.cacheSeconds ?? 0) * 1000;
    const end = token.expiresAt?.getTime() ?? Date.now();
    const until = Math.min(wanted, end - Math.max(60, minTtl) * 1000);
    if (until <= Date.now()) return;
    const oldest = this.kept.keys().next();
    if (this.kept.size >= KEPT && !oldest.done) this.kept.delete(oldest.value);
    this.kept.set(name, { token, until });
  }
}

function nameOf({ provider, workspace, actor, account, scope, minTtl }: TokenRequest): string {
  const scopes = [scope ?? []].flat().join(" ");
  return JSON.stringify([provider, workspace, actor, account, scopes, minTtl]);
}

function readToken(body: Record<string, unknown>): AccessToken {
  const text = (name: string): string => {
    const member = body[name];
    if (typeof member === "string") return member;
    const detail = `the answer of /api/token has no ${name}: check its address`;
    throw new GrantkeepError({ code: "unexpected_answer", detail });
  };
  const end = body["expires_at"];
  return {
    accessToken: text("access_token"),
    tokenType: text("token_type"),
    expiresAt: typeof end === "string" ? new Date(end) : null,
    scopes: text("scope")
      .split(" ")
      .filter((scope) => scope !== ""),
    connectionId: text("connection_id"),
    provider: text("provider"),
    workspace: text("workspace"),
    actor: text("actor"),
    account: text("account"),
    persisted: body["persisted"] !== false,
  };
}

/** A variable's value, where there are variables. */
function fromEnvironment(name: string): string {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  const value = process?.env?.[name]?.trim();
  if (value) return value;
  throw new TypeError(`${name} is not set, and no option says it`);
}
