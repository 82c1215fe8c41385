import { act, cleanup, renderHook, waitFor } from "@testing-library/react";
import type { PropsWithChildren } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { GrantkeepProvider, useConnections, type SessionSource } from "../../src/index.js";
import { BASE, connection, FakeGrantkeep, problem } from "./support.js";

beforeEach(() => window.history.replaceState(null, "", "/settings"));

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function hook(session?: SessionSource, navigate?: (address: string) => void) {
  const wrapper = ({ children }: PropsWithChildren) => (
    <GrantkeepProvider
      baseUrl={`${BASE}/`}
      {...(session && { session })}
      {...(navigate && { navigate })}
    >
      {children}
    </GrantkeepProvider>
  );
  return renderHook(() => useConnections(), { wrapper }).result;
}

const jwt = (name: string, seconds: number) => {
  const claims = { sub: name, exp: Math.floor(Date.now() / 1000) + seconds };
  return `e30.${btoa(JSON.stringify(claims)).replaceAll("=", "")}.${name}`;
};

test("the list is read once, with the cookie, and typed", async () => {
  const grantkeep = new FakeGrantkeep(connection());
  const result = hook();
  expect([result.current.loading, result.current.connections]).toEqual([true, undefined]);

  await waitFor(() => expect(result.current.loading).toBe(false));

  expect(result.current.connections?.[0]).toMatchObject({
    account: "alice@example.com",
    missingScopes: [],
    createdAt: new Date("2026-11-02T08:00:11Z"),
    lastRefreshedAt: null,
  });
  expect(grantkeep.requests).toHaveLength(1);
  expect(grantkeep.requests[0]?.init.credentials).toBe("include");
});

test("all pages are read", async () => {
  const many = ["a", "b", "c", "d", "e"].map((id) => connection({ id }));
  const grantkeep = new FakeGrantkeep(...many);
  grantkeep.pageSize = 2;
  const result = hook();

  await waitFor(() => expect(result.current.loading).toBe(false));

  expect(result.current.connections?.map(({ id }) => id)).toEqual(["a", "b", "c", "d", "e"]);
});

test("with a session the cookie stays at home, and the session is used while it is good", async () => {
  const grantkeep = new FakeGrantkeep(connection());
  const sessions = [jwt("one", 60), jwt("two", 60)];
  const source = vi.fn(async () => sessions.shift() ?? "");
  const result = hook(source);
  await waitFor(() => expect(result.current.loading).toBe(false));

  await act(() => result.current.refresh());

  const sent = grantkeep.requests.map(({ init }) => [init.credentials, init.headers]);
  expect(sent[0]?.[0]).toBe("omit");
  expect(sent[0]).toEqual(sent[1]);
  expect(source).toHaveBeenCalledTimes(1);
});

test("a session that is about to end is replaced", async () => {
  new FakeGrantkeep();
  const source = vi.fn(async () => jwt("short", 5));
  const result = hook(source);
  await waitFor(() => expect(result.current.loading).toBe(false));

  await act(() => result.current.refresh());

  expect(source).toHaveBeenCalledTimes(2);
});

test("the consent page's address gets a fresh session", async () => {
  new FakeGrantkeep();
  const sessions = [jwt("one", 60), jwt("two", 60)];
  const left: string[] = [];
  const result = hook(
    () => sessions.shift() ?? "",
    (address) => left.push(address),
  );
  await waitFor(() => expect(result.current.loading).toBe(false));

  await act(() => result.current.connect("gmail"));

  expect(new URL(left[0] ?? "").searchParams.get("session")).toMatch(/two$/);
});

test("a session source that fails is an error and no crash", async () => {
  new FakeGrantkeep();
  const result = hook(() => Promise.reject(new Error("503 of the application")));

  await waitFor(() => expect(result.current.error?.code).toBe("unauthorized"));
  await expect(result.current.connect("gmail")).rejects.toMatchObject({ code: "unauthorized" });
});

test("a list that was read stays while a later attempt fails", async () => {
  const grantkeep = new FakeGrantkeep(connection());
  const result = hook();
  await waitFor(() => expect(result.current.loading).toBe(false));
  grantkeep.failures.push(() => problem(503, "storage_unavailable"));

  await act(() => result.current.refresh());

  expect(result.current.error).toMatchObject({ code: "storage_unavailable", status: 503 });
  expect(result.current.connections).toHaveLength(1);
  await act(() => result.current.refresh());
  expect(result.current.error).toBeUndefined();
});

test("the answer to an older question does not overwrite a newer one", async () => {
  const grantkeep = new FakeGrantkeep();
  let release = (_: Response) => {};
  grantkeep.failures.push(() => new Promise<Response>((resolve) => (release = resolve)));
  const result = hook();
  grantkeep.connections = [connection()];
  await act(() => result.current.refresh());

  await act(async () => release(Response.json({ connections: [], next: null })));

  expect(result.current.connections).toHaveLength(1);
});

test("nothing waits for ever", async () => {
  vi.useFakeTimers();
  const grantkeep = new FakeGrantkeep();
  vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
    return new Promise((_, reject) => init.signal?.addEventListener("abort", () => reject()));
  });
  const result = hook();

  await act(() => vi.advanceTimersByTimeAsync(15_000));

  expect(result.current.error?.code).toBe("timeout");
  expect(grantkeep.requests).toHaveLength(0);
});

test("what somebody else disconnected already counts as disconnected", async () => {
  new FakeGrantkeep();
  const result = hook();
  await waitFor(() => expect(result.current.loading).toBe(false));

  const done = await act(() => result.current.disconnect("gone"));

  expect(done).toEqual({ revoked: false, reason: "already_gone" });
});

test("an outcome stays until it is dismissed", async () => {
  const query = "connection=insufficient_scope&missing_scope=a+b&account=c%40d.e&provider=gmail";
  window.history.replaceState(null, "", `/settings?${query}`);
  new FakeGrantkeep();
  const result = hook();
  await waitFor(() => expect(result.current.loading).toBe(false));

  expect(result.current.outcome).toMatchObject({
    status: "insufficient_scope",
    account: "c@d.e",
    missingScopes: ["a", "b"],
  });
  act(() => result.current.dismiss());
  expect(result.current.outcome).toBeUndefined();
});

test.each(["auth.example", "http://auth.example", ""])("%j is no base URL", (baseUrl) => {
  expect(() => renderToString(<GrantkeepProvider baseUrl={baseUrl} />)).toThrow("baseUrl must be");
});
