// A Grantkeep made of a `fetch`, and components rendered under it.

import { render } from "@testing-library/react";
import type { ReactElement } from "react";
import { StrictMode } from "react";
import { vi } from "vitest";

import { GrantkeepProvider, type GrantkeepProviderProps } from "../../src/index.js";

export const BASE = "https://auth.example";
export const READ = "https://www.googleapis.com/auth/gmail.readonly";
export const SEND = "https://www.googleapis.com/auth/gmail.send";

/** A connection as /api/connections lists it. */
export function connection(members: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: "0b0f6a3e-6c39-4d0e-9a2d-9f3a5d1f7c11",
    provider: "gmail",
    workspace: "default",
    actor: "user-42",
    account: "alice@example.com",
    scopes: ["openid", READ],
    missing_scopes: [],
    status: "active",
    status_reason: null,
    expires_at: "2026-11-20T13:45:07Z",
    created_at: "2026-11-02T08:00:11Z",
    updated_at: "2026-11-20T12:45:07Z",
    last_refreshed_at: null,
    ...members,
  };
}

export function problem(status: number, code: string): Response {
  const body = JSON.stringify({ code, status, detail: `details of ${code}` });
  return new Response(body, { status, headers: { "content-type": "application/problem+json" } });
}

/** Answers what a Grantkeep with these connections would. */
export class FakeGrantkeep {
  connections: Record<string, unknown>[];
  /** Answered to the next requests in place of the real thing. */
  failures: (() => Response | Promise<Response>)[] = [];
  /** Connections on one page. */
  pageSize = 200;
  requests: { method: string; url: URL; init: RequestInit }[] = [];

  constructor(...connections: Record<string, unknown>[]) {
    this.connections = connections;
    const answer = this.answer.bind(this);
    // Like a browser's, it works on the window alone.
    vi.stubGlobal("fetch", function (this: unknown, url: string, init: RequestInit) {
      if (this !== undefined && this !== globalThis) throw new TypeError("Illegal invocation");
      return answer(url, init);
    });
  }

  private async answer(address: string, init: RequestInit): Promise<Response> {
    const url = new URL(address);
    const method = init.method ?? "GET";
    this.requests.push({ method, url, init });
    const failure = this.failures.shift();
    if (failure) return failure();
    if (method === "GET" && url.pathname === "/api/connections") {
      const start = Number(url.searchParams.get("cursor") ?? 0);
      const end = start + this.pageSize;
      const next = end < this.connections.length ? String(end) : null;
      return Response.json({ connections: this.connections.slice(start, end), next });
    }
    const id = url.pathname.split("/").at(-1);
    const known = this.connections.some((one) => one["id"] === id);
    if (method !== "DELETE" || !known) return problem(404, "not_connected");
    this.connections = this.connections.filter((one) => one["id"] !== id);
    return Response.json({ revoked: true, reason: null, deleted: true });
  }
}

/** Renders below a provider; the addresses that the page was left for. */
export function show(element: ReactElement, props: Partial<GrantkeepProviderProps> = {}): string[] {
  const left: string[] = [];
  render(
    <StrictMode>
      <GrantkeepProvider baseUrl={BASE} navigate={(address) => left.push(address)} {...props}>
        {element}
      </GrantkeepProvider>
    </StrictMode>,
  );
  return left;
}
