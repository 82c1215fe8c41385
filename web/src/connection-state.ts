// Which of the user's connections a button is about, and how that one stands.

import type { Connection } from "./types.js";

/** What a button has to offer. */
export type ButtonState =
  "loading" | "connect" | "connected" | "insufficient_scope" | "reconnect" | "pending";

const EMAIL = "https://www.googleapis.com/auth/userinfo.email";
const PROFILE = "https://www.googleapis.com/auth/userinfo.profile";

/** The state, the connection it is of, and the scopes it lacks. */
export function stateOf(
  connections: readonly Connection[] | undefined,
  wanted: { provider: string; account: string | undefined; scope: readonly string[] },
): { state: ButtonState; connection: Connection | undefined; missing: readonly string[] } {
  if (connections === undefined) return { state: "loading", connection: undefined, missing: [] };
  const candidates = connections
    .filter(({ provider }) => provider === wanted.provider)
    .filter(({ account }) => wanted.account === undefined || account === wanted.account)
    .map((connection) => {
      const missing = missingOf(connection, wanted.scope);
      return { connection, missing, state: standing(connection, missing) };
    });
  // One that works is what the user came for; then the one that is easiest to put right.
  const order: readonly ButtonState[] = ["connected", "insufficient_scope", "reconnect", "pending"];
  const best = candidates.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state))[0];
  return best ?? { state: "connect", connection: undefined, missing: [] };
}

function standing(connection: Connection, missing: readonly string[]): ButtonState {
  if (connection.status === "pending") return "pending";
  if (connection.status === "reauthorization_required") return "reconnect";
  return missing.length > 0 ? "insufficient_scope" : "connected";
}

/** What was asked for and refused, and what this button needs and nobody granted. */
function missingOf(connection: Connection, needed: readonly string[]): readonly string[] {
  const granted = new Set(connection.scopes.map(canonical));
  const lacking = needed.filter((scope) => !granted.has(canonical(scope)));
  return [...new Set([...connection.missingScopes, ...lacking])];
}

function canonical(scope: string): string {
  if (scope === "email") return EMAIL;
  return scope === "profile" ? PROFILE : scope;
}
