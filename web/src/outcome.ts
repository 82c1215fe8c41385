// What Grantkeep adds to the query of `return_to`, and the address without it. Anybody can type
// such an address: an outcome is for telling the user, never for believing.

/** How the user came back from the provider. */
export interface Outcome {
  readonly status: "connected" | "insufficient_scope" | "pending" | "error";
  readonly provider: string;
  /** Absent after an error. */
  readonly account: string | undefined;
  /** For `insufficient_scope`: what the user left out. */
  readonly missingScopes: readonly string[];
  /** For `pending`: what the host application's server has to confirm. */
  readonly connectionId: string | undefined;
  /** For `error`: its code, such as `access_denied`. */
  readonly error: string | undefined;
}

const STATUSES: readonly string[] = ["connected", "insufficient_scope", "pending", "error"];
const PARAMETERS = [
  "connection",
  "provider",
  "account",
  "missing_scope",
  "connection_id",
  "error",
] as const;

/** What an address says, and the address without it; undefined where it says nothing. */
export function readOutcome(address: string): { outcome: Outcome; rest: string } | undefined {
  const url = new URL(address);
  const pairs = [...url.searchParams];
  // Appended at the end; the page may have parameters of the same names before.
  const start = pairs.map(([name]) => name).lastIndexOf("connection");
  const ours = new Map(pairs.slice(Math.max(start, 0)));
  const status = ours.get("connection");
  const provider = ours.get("provider");
  if (start < 0 || provider === undefined || !STATUSES.includes(status ?? "")) return undefined;
  const kept = pairs.filter(
    ([name], index) => index < start || !(PARAMETERS as readonly string[]).includes(name),
  );
  url.search = new URLSearchParams(kept).toString();
  return {
    outcome: {
      status: status as Outcome["status"],
      provider,
      account: ours.get("account"),
      missingScopes: (ours.get("missing_scope") ?? "").split(" ").filter((scope) => scope !== ""),
      connectionId: ours.get("connection_id"),
      error: ours.get("error"),
    },
    rest: url.href,
  };
}
