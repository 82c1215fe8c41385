// What went wrong, as a program can act on it: Grantkeep's own codes, and three of this package
// for answers that never came.

/** Codes of Grantkeep's answers (docs/api.md#errors), and those of this package. */
export type ErrorCode =
  | "unauthorized"
  | "forbidden"
  | "unknown_provider"
  | "not_connected"
  | "ambiguous_account"
  | "insufficient_scope"
  | "reauthorization_required"
  | "account_mismatch"
  | "access_denied"
  | "invalid_state"
  | "invalid_request"
  | "return_to_not_allowed"
  | "provider_error"
  | "provider_unavailable"
  | "storage_unavailable"
  | "misconfigured"
  | "internal"
  /** Nothing answered, or the page is not allowed to read the answer (CORS). */
  | "unreachable"
  /** Nothing answered in time. */
  | "timeout"
  /** Something answered that is not Grantkeep. */
  | "unexpected_answer"
  // Servers may be newer than this package.
  | (string & {});

interface Members {
  code: ErrorCode;
  detail: string;
  status?: number | undefined;
  connectUrl?: string | undefined;
  missingScopes?: readonly string[] | undefined;
  grantedScopes?: readonly string[] | undefined;
  accounts?: readonly string[] | undefined;
  reason?: string | undefined;
  retryAfter?: number | undefined;
}

/** Why there is no answer to work with. Its message never holds a token or a key. */
export class GrantkeepError extends Error {
  override readonly name = "GrantkeepError";
  /** What happened. */
  readonly code: ErrorCode;
  /** What to do about it, in words for developers. */
  readonly detail: string;
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** Where to send the user, for `not_connected`, `insufficient_scope`, `reauthorization_required`. */
  readonly connectUrl: string | undefined;
  /** For `insufficient_scope`: what the user has not granted. */
  readonly missingScopes: readonly string[];
  /** For `insufficient_scope`: what the user has granted. */
  readonly grantedScopes: readonly string[];
  /** For `ambiguous_account`: the accounts to choose from. */
  readonly accounts: readonly string[];
  /** For `reauthorization_required`: the provider's reason. */
  readonly reason: string | undefined;
  /** Seconds after which the same request may work. */
  readonly retryAfter: number | undefined;

  constructor(members: Members, options?: ErrorOptions) {
    super(`${members.code}: ${members.detail}`, options);
    this.code = members.code;
    this.detail = members.detail;
    this.status = members.status;
    this.connectUrl = members.connectUrl;
    this.missingScopes = members.missingScopes ?? [];
    this.grantedScopes = members.grantedScopes ?? [];
    this.accounts = members.accounts ?? [];
    this.reason = members.reason;
    this.retryAfter = members.retryAfter;
  }

  /** Whether only the user can put it right, at `connectUrl`. */
  get needsUser(): boolean {
    return (
      this.code === "not_connected" ||
      this.code === "insufficient_scope" ||
      this.code === "reauthorization_required"
    );
  }
}

/** The error that an answer of a status other than 2xx stands for. */
export function errorOf(status: number, headers: Headers, body: unknown): GrantkeepError {
  const problem = isObject(body) ? body : {};
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  const code = text(problem["code"]);
  return new GrantkeepError({
    code: code ?? "unexpected_answer",
    detail:
      text(problem["detail"]) ??
      (code === undefined
        ? `status ${status}, and not from Grantkeep: check its address`
        : `status ${status}`),
    status,
    connectUrl: text(problem["connect_url"]),
    missingScopes: texts(problem["missing_scopes"]),
    grantedScopes: texts(problem["granted_scopes"]),
    accounts: texts(problem["accounts"]),
    reason: text(problem["reason"]),
    retryAfter: Number.isFinite(seconds) ? seconds : undefined,
  });
}

/** Whether a value has members. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function texts(value: unknown): string[] | undefined {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : undefined;
}
