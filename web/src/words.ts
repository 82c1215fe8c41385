// Every sentence that users see. An application replaces any of them, for its own language.

/** What a sentence is about. */
export interface Subject {
  /** Such as "Gmail". */
  name: string;
  /** The account at the provider, where there is one. */
  account: string | undefined;
  /** Scopes that were not granted, as the provider writes them. */
  missing: readonly string[];
}

/** The sentences of the components. */
export interface Words {
  connect(subject: Subject): string;
  reconnect(subject: Subject): string;
  allowMore(subject: Subject): string;
  redirecting(subject: Subject): string;
  disconnect(subject: Subject): string;
  reallyDisconnect(subject: Subject): string;
  keep(subject: Subject): string;
  disconnecting(subject: Subject): string;
  connected(subject: Subject): string;
  needsReconnect(subject: Subject): string;
  needsScopes(subject: Subject): string;
  waits(subject: Subject): string;
  /** For a code of docs/api.md#errors, or one of this package. */
  failed(code: string, subject: Subject): string;
}

const who = ({ name, account }: Subject) => account ?? `Your ${name} account`;

/** In English. */
export const english: Words = {
  connect: ({ name }) => `Connect ${name}`,
  reconnect: ({ name }) => `Reconnect ${name}`,
  allowMore: ({ name }) => `Allow more in ${name}`,
  redirecting: ({ name }) => `Going to ${name}…`,
  disconnect: ({ name }) => `Disconnect ${name}`,
  reallyDisconnect: ({ name }) => `Yes, disconnect ${name}`,
  keep: () => "Keep it",
  disconnecting: ({ name }) => `Disconnecting ${name}…`,
  connected: ({ name, account }) =>
    account === undefined ? `${name} is connected` : `${name} is connected as ${account}`,
  needsReconnect: (subject) => `${who(subject)} does not let this app in any more.`,
  needsScopes: (subject) => {
    const missing = subject.missing.map((scope) => scope.split("/").at(-1) || scope);
    return `${who(subject)} is connected, but not everything was allowed. Missing: ${missing.join(", ")}.`;
  },
  waits: (subject) => `${who(subject)} is connected and waits to be confirmed.`,
  failed: (code, subject) => (FAILURES[code] ?? FAILURES["internal"])?.(subject) ?? code,
};

const FAILURES: Record<string, (subject: Subject) => string> = {
  access_denied: ({ name }) => `${name} was not connected, because access was not allowed.`,
  account_mismatch: ({ name }) =>
    `That was another ${name} account than the one that is connected. Choose the same one.`,
  invalid_state: ({ name }) => `Connecting ${name} took too long. Please try again.`,
  provider_error: ({ name }) => `${name} answered with an error. Please try again.`,
  provider_unavailable: ({ name }) => `${name} cannot be reached right now. Try again later.`,
  storage_unavailable: () => "Connections cannot be read right now. Try again later.",
  unauthorized: () => "You are signed out. Sign in and try again.",
  forbidden: () => "This browser is signed in as somebody else. Sign out there first.",
  unknown_provider: ({ name }) => `${name} has not been set up yet.`,
  misconfigured: ({ name }) => `${name} has not been set up completely.`,
  unreachable: () => "Your connections cannot be reached. Check the network and try again.",
  timeout: () => "Your connections took too long to answer. Try again.",
  internal: () => "Something went wrong. Please try again.",
};

/** A provider's name as people write it: `google_calendar` is "Google Calendar". */
export function nameOf(provider: string): string {
  return provider
    .split(/[_-]/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join(" ");
}
