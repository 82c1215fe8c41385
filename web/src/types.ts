// What a connection is, in this package's spelling of GET /api/connections.

import { GrantkeepError, isObject } from "./errors.js";

/** How a connection stands. */
export type ConnectionStatus = "active" | "pending" | "reauthorization_required";

/** One account that the user has connected. */
export interface Connection {
  readonly id: string;
  readonly provider: string;
  readonly workspace: string;
  readonly actor: string;
  /** The account at the provider, usually an e-mail address. */
  readonly account: string;
  /** What was granted. */
  readonly scopes: readonly string[];
  /** What was asked for and not granted. */
  readonly missingScopes: readonly string[];
  readonly status: ConnectionStatus;
  readonly statusReason: string | null;
  /** Of the access token; null where the provider does not say. */
  readonly expiresAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly lastRefreshedAt: Date | null;
}

/** What a disconnect did. The tokens are deleted in any case. */
export interface Disconnected {
  /** Whether the provider was told to end the grant, and did. */
  readonly revoked: boolean;
  /** Why it was not (docs/api.md#delete-apiconnectionsid). */
  readonly reason: string | null;
}

/** One page of GET /api/connections. */
export function readPage(body: Record<string, unknown>): {
  connections: Connection[];
  next: string | undefined;
} {
  const { connections, next } = body;
  if (!Array.isArray(connections)) throw unreadable();
  return {
    connections: connections.map(readConnection),
    next: typeof next === "string" ? next : undefined,
  };
}

function readConnection(value: unknown): Connection {
  if (!isObject(value)) throw unreadable();
  const text = (name: string): string => {
    const member = value[name];
    if (typeof member !== "string") throw unreadable();
    return member;
  };
  const list = (name: string): string[] => {
    const member = value[name];
    if (!Array.isArray(member)) throw unreadable();
    return member.filter((item) => typeof item === "string");
  };
  const instant = (name: string): Date | null =>
    value[name] === null || value[name] === undefined ? null : new Date(text(name));
  return {
    id: text("id"),
    provider: text("provider"),
    workspace: text("workspace"),
    actor: text("actor"),
    account: text("account"),
    scopes: list("scopes"),
    missingScopes: list("missing_scopes"),
    status: text("status") as ConnectionStatus,
    statusReason: typeof value["status_reason"] === "string" ? value["status_reason"] : null,
    expiresAt: instant("expires_at"),
    createdAt: new Date(text("created_at")),
    updatedAt: new Date(text("updated_at")),
    lastRefreshedAt: instant("last_refreshed_at"),
  };
}

function unreadable(): GrantkeepError {
  const detail = "the list of connections has another form than this package knows: update it";
  return new GrantkeepError({ code: "unexpected_answer", detail });
}
