import { createHmac } from "node:crypto";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { accessToken, createClient, GrantkeepError, signSession } from "../../src/client/index.js";
import { json, serve, type Server } from "./support.js";

const KEY = "gk_tests-only";

/** The stored token; `rejected` with it makes the next one. */
let stored = 1;
let lifetime = 3600;
let grantkeep: Server;
let api: Server;
const running: Server[] = [];

async function start(...arguments_: Parameters<typeof serve>): Promise<Server> {
  const server = await serve(...arguments_);
  running.push(server);
  return server;
}

beforeEach(async () => {
  [stored, lifetime] = [1, 3600];
  grantkeep = await start((asked, response) => {
    const body = JSON.parse(asked.body);
    if (body.rejected === `token-${stored}`) stored += 1;
    json(response, 200, {
      access_token: `token-${stored}`,
      token_type: "Bearer",
      expires_in: lifetime,
      expires_at: new Date(Date.now() + lifetime * 1000).toISOString(),
      scope: "openid gmail.readonly",
      connection_id: "id",
      provider: body.provider,
      workspace: body.workspace ?? "default",
      actor: body.actor ?? "default",
      account: "alice@example.com",
      persisted: true,
    });
  });
  api = await start((asked, response) => {
    const good = asked.headers.authorization === `Bearer token-2`;
    json(response, good ? 200 : 401, { body: asked.body });
  });
});

afterEach(() => {
  vi.unstubAllEnvs();
  for (const server of running.splice(0)) server.stop();
});

const client = (options = {}) => createClient({ baseUrl: grantkeep.origin, key: KEY, ...options });

describe("accessToken", () => {
  test("asks with the key in a header, and everything else in the body", async () => {
    const token = await client().accessToken({
      provider: "gmail",
      actor: "user-42",
      account: "alice@example.com",
      scope: ["openid", "gmail.readonly"],
      minTtl: 600,
    });

    expect(token).toMatchObject({
      accessToken: "token-1",
      actor: "user-42",
      scopes: ["openid", "gmail.readonly"],
      persisted: true,
    });
    expect(token.expiresAt?.getTime()).toBeGreaterThan(Date.now());
    const [asked] = grantkeep.requests;
    expect([asked?.method, asked?.path]).toEqual(["POST", "/api/token"]);
    expect(asked?.headers.authorization).toBe(`Bearer ${KEY}`);
    expect(JSON.parse(asked?.body ?? "")).toEqual({
      provider: "gmail",
      actor: "user-42",
      account: "alice@example.com",
      scope: "openid gmail.readonly",
      min_ttl: 600,
    });
  });

  test("takes address and key from the environment", async () => {
    vi.stubEnv("GRANTKEEP_URL", grantkeep.origin);
    vi.stubEnv("GRANTKEEP_KEY", KEY);

    expect((await accessToken({ provider: "gmail" })).accessToken).toBe("token-1");
  });

  test.each(["GRANTKEEP_URL", "GRANTKEEP_KEY"])("says that %s is missing", async (name) => {
    vi.stubEnv("GRANTKEEP_URL", grantkeep.origin);
    vi.stubEnv("GRANTKEEP_KEY", KEY);
    vi.stubEnv(name, "");

    await expect(accessToken({ provider: "gmail" })).rejects.toThrow(`${name} is not set`);
  });

  test.each(["http://auth.example", "auth.example"])("never sends the key to %s", async (url) => {
    const send = vi.fn();
    const asked = client({ baseUrl: url, fetch: send }).accessToken({ provider: "gmail" });

    await expect(asked).rejects.toThrow(TypeError);
    expect(send).not.toHaveBeenCalled();
  });

  test("throws what a program can act on", async () => {
    const dead = await start((_, response) =>
      json(response, 409, {
        code: "reauthorization_required",
        detail: "send the user to connect_url",
        reason: "invalid_grant",
        connect_url: "https://auth.example/x",
      }),
    );

    const error = await client({ baseUrl: dead.origin })
      .accessToken({ provider: "gmail" })
      .catch((error: unknown) => error as GrantkeepError);

    expect(error).toBeInstanceOf(GrantkeepError);
    expect(error).toMatchObject({
      code: "reauthorization_required",
      status: 409,
      reason: "invalid_grant",
      connectUrl: "https://auth.example/x",
      needsUser: true,
    });
    expect(String(error)).not.toContain(KEY);
  });

  test("tells for how long to wait", async () => {
    const busy = await start((_, response) =>
      json(response, 503, { code: "provider_unavailable", detail: "" }, { "retry-after": "7" }),
    );

    await expect(
      client({ baseUrl: busy.origin }).accessToken({ provider: "gmail" }),
    ).rejects.toMatchObject({ code: "provider_unavailable", retryAfter: 7, needsUser: false });
  });

  test("does not follow a redirect with the key", async () => {
    const elsewhere = await start((_, response) => {
      response.writeHead(307, { location: `${grantkeep.origin}/api/token` }).end();
    });

    await expect(
      client({ baseUrl: elsewhere.origin }).accessToken({ provider: "gmail" }),
    ).rejects.toMatchObject({ code: "unexpected_answer", status: 307 });
    expect(grantkeep.requests).toEqual([]);
  });

  test("gives up in time", async () => {
    const silent = await start(() => {});

    await expect(
      client({ baseUrl: silent.origin, timeout: 100 }).accessToken({ provider: "gmail" }),
    ).rejects.toMatchObject({ code: "timeout" });
  });

  test("gives up when the answer's body does not end", async () => {
    const slow = await start((_, response) => {
      response.writeHead(200).write("{");
    });

    await expect(
      client({ baseUrl: slow.origin, timeout: 100 }).accessToken({ provider: "gmail" }),
    ).rejects.toMatchObject({ code: "timeout" });
  });

  test("gives up when the caller does, with the caller's reason", async () => {
    const silent = await start(() => {});
    const caller = new AbortController();
    const asked = client({ baseUrl: silent.origin }).accessToken(
      { provider: "gmail" },
      { signal: caller.signal },
    );

    caller.abort(new Error("enough"));

    await expect(asked).rejects.toThrow("enough");
  });

  test("says that nobody answers", async () => {
    grantkeep.stop();

    await expect(client().accessToken({ provider: "gmail" })).rejects.toMatchObject({
      code: "unreachable",
    });
  });

  test.each([[{}], [[]], ["token"]])("refuses %j, which is no token", async (body) => {
    const other = await start((_, response) => json(response, 200, body));

    await expect(
      client({ baseUrl: other.origin }).accessToken({ provider: "gmail" }),
    ).rejects.toMatchObject({ code: "unexpected_answer" });
  });
});

describe("kept answers", () => {
  test("there are none unless asked for", async () => {
    const tokens = client();
    await tokens.accessToken({ provider: "gmail" });
    await tokens.accessToken({ provider: "gmail" });

    expect(grantkeep.requests).toHaveLength(2);
  });

  test("are given again for the same question only", async () => {
    const tokens = client({ cacheSeconds: 30 });
    await tokens.accessToken({ provider: "gmail", actor: "a" });
    await tokens.accessToken({ provider: "gmail", actor: "a" });
    await tokens.accessToken({ provider: "gmail", actor: "b" });

    expect(grantkeep.requests).toHaveLength(2);
  });

  test("end with their seconds", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tokens = client({ cacheSeconds: 30 });
    await tokens.accessToken({ provider: "gmail" });
    vi.setSystemTime(Date.now() + 31_000);
    await tokens.accessToken({ provider: "gmail" });
    vi.useRealTimers();

    expect(grantkeep.requests).toHaveLength(2);
  });

  test("are never older than the token lets them be", async () => {
    lifetime = 59;
    const tokens = client({ cacheSeconds: 30 });
    await tokens.accessToken({ provider: "gmail" });
    await tokens.accessToken({ provider: "gmail" });

    expect(grantkeep.requests).toHaveLength(2);
  });

  test("are dropped when the token is rejected", async () => {
    const tokens = client({ cacheSeconds: 30 });
    const first = await tokens.accessToken({ provider: "gmail" });
    await tokens.accessToken({ provider: "gmail" }, { rejected: first.accessToken });

    expect((await tokens.accessToken({ provider: "gmail" })).accessToken).toBe("token-2");
    expect(grantkeep.requests).toHaveLength(2);
  });
});

describe("fetchWithToken", () => {
  test("reports a rejected token and asks once more, with the same body", async () => {
    const answer = await client().fetchWithToken({ provider: "gmail" }, `${api.origin}/send`, {
      method: "POST",
      body: "hello",
      headers: { "x-own": "1" },
    });

    expect(await answer.json()).toEqual({ body: "hello" });
    expect(api.requests.map(({ headers }) => [headers.authorization, headers["x-own"]])).toEqual([
      ["Bearer token-1", "1"],
      ["Bearer token-2", "1"],
    ]);
    expect(JSON.parse(grantkeep.requests[1]?.body ?? "")).toMatchObject({ rejected: "token-1" });
  });

  test("a second 401 is the answer", async () => {
    const never = await start((_, response) => json(response, 401, {}));

    const answer = await client().fetchWithToken({ provider: "gmail" }, never.origin);

    expect(answer.status).toBe(401);
    expect(never.requests).toHaveLength(2);
  });

  test("what cannot be sent twice is sent once", async () => {
    const stream = new Blob(["hello"]).stream();
    const init = { method: "POST", body: stream, duplex: "half" } as RequestInit;

    const answer = await client().fetchWithToken({ provider: "gmail" }, api.origin, init);

    expect([answer.status, api.requests.length]).toEqual([401, 1]);
  });

  test("a token does not travel unprotected", async () => {
    const asked = client().fetchWithToken({ provider: "gmail" }, "http://gmail.example/x");

    await expect(asked).rejects.toThrow("https only");
    expect(grantkeep.requests).toEqual([]);
  });
});

describe("signSession", () => {
  const secret = "a-session-secret-that-only-tests-use-0001";

  test("signs what Grantkeep takes", async () => {
    const jwt = await signSession({ secret, actor: "käthe", workspace: "acme", seconds: 60 });

    const [head = "", claims = "", signature] = jwt.split(".");
    const hmac = createHmac("sha256", secret).update(`${head}.${claims}`).digest("base64url");
    expect(signature).toBe(hmac);
    const { exp, iat, ...named } = JSON.parse(Buffer.from(claims, "base64url").toString());
    expect(named).toEqual({ sub: "käthe", workspace: "acme", aud: "grantkeep" });
    expect(exp - iat).toBe(60);
  });

  test.each([
    ["short", "user"],
    [secret, ""],
  ])("refuses secret %j with actor %j", async (secret, actor) => {
    await expect(signSession({ secret, actor })).rejects.toThrow(TypeError);
  });
});
